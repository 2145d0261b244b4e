import type { Clock } from "@redoubt/base";
import { openCustodian, type Custodian, type CustodyLoaders } from "@redoubt/custody";
import type { CustodySettings } from "./custody-settings.ts";
import { custodyLabel } from "./custody-settings.ts";
import { SignerCustody } from "./signer-custody.ts";

/** Each cloud's code is loaded where it is configured, and nowhere else. */
const LOADERS: Required<CustodyLoaders> = {
  "aws-kms": async () => {
    const { openAwsKmsCustodian, parseAwsKmsConfig } = await import("@redoubt/kms-aws");
    return (settings) => openAwsKmsCustodian(parseAwsKmsConfig(settings));
  },
  "azure-keyvault": async () => {
    const { openAzureKeyVaultCustodian, parseAzureKeyVaultConfig } =
      await import("@redoubt/kms-azure");
    return (settings) => openAzureKeyVaultCustodian(parseAzureKeyVaultConfig(settings));
  },
  "google-kms": async () => {
    const { openGoogleKmsCustodian, parseGoogleKmsConfig } = await import("@redoubt/kms-gcp");
    return (settings) => openGoogleKmsCustodian(parseGoogleKmsConfig(settings));
  },
};

export interface OpenCustodyOptions {
  readonly config: Pick<CustodySettings, "custody">;
  /** Where sealed files lie. */
  readonly folder: string;
  readonly clock: Clock;
  /** Used in place of the configured one. Closing it does not close what is behind it: that is its owner's. */
  readonly custodian?: Custodian | undefined;
  readonly onCustodyLoaded?: (() => void) | undefined;
}

/** @throws as `SignerCustody.open` */
export function openCustody(options: OpenCustodyOptions): Promise<SignerCustody> {
  const { custodian, config, folder, clock } = options;
  return SignerCustody.open({
    label: custodian?.label ?? custodyLabel(config.custody),
    open: async () =>
      custodian ?? (await openCustodian(config.custody, folder, { loaders: LOADERS, clock })),
    clock,
    onLoaded: options.onCustodyLoaded,
  });
}
