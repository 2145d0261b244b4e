import type { Clock } from "@redoubt/base";
import {
  type Custodian,
  type CustodyLoaders,
  GatewayCustodian,
  openCustodian,
} from "@redoubt/custody";
import type { Requester } from "@redoubt/wire";
import type { CustodySettings } from "./custody-settings.ts";
import { custodyLabel } from "./custody-settings.ts";
import { SignerCustody } from "./signer-custody.ts";
import type { SignerLease } from "./signer-lease.ts";

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
  /** This signer's right to use its keys; undefined where nobody asks for one. */
  readonly lease?: SignerLease | undefined;
  /** Connects to the custody gateway, where one holds the keys. */
  readonly gateway?: () => Requester & AsyncDisposable;
}

/** @throws as `SignerCustody.open` */
export function openCustody(options: OpenCustodyOptions): Promise<SignerCustody> {
  const { custodian, config, clock, lease } = options;
  return SignerCustody.open({
    label: custodian?.label ?? custodyLabel(config.custody),
    open: async () => custodian ?? (await openConfigured(options)),
    clock,
    mayUse: lease && (() => lease.check()),
    onLoaded: options.onCustodyLoaded,
  });
}

async function openConfigured({
  config: { custody },
  folder,
  clock,
  lease,
  gateway,
}: OpenCustodyOptions): Promise<Custodian> {
  if (custody.kind !== "gateway")
    return openCustodian(custody, folder, { loaders: LOADERS, clock });
  if (gateway === undefined) throw new TypeError("Nothing leads to the gateway");
  return new GatewayCustodian({
    client: gateway(),
    label: custody.holds,
    lease: () => lease?.lease,
    onWornOut: (held) => lease?.giveUp(held),
  });
}
