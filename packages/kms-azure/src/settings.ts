import { KeyError } from "@redoubt/keys";
import { DEFAULT_LIMITS, type CallLimits } from "@redoubt/custody/call-gate";

/** Who the signer is to Azure. */
export type AzureIdentity =
  | { readonly kind: "managed-identity"; readonly clientId?: string }
  | {
      readonly kind: "workload-identity";
      readonly tenantId: string;
      readonly clientId: string;
      readonly tokenFilePath: string;
    };

export interface AzureKeyVaultSettings {
  /** `https://<name>.vault.azure.net` (Premium) or `https://<name>.managedhsm.azure.net`, also of another cloud. */
  readonly vaultUrl: string;
  /** Whose keys these are: written on each key as a tag; only keys that bear it are seen, used or ended. */
  readonly ring: string;
  readonly identity: AzureIdentity;
  /** Keys that live in software. They cannot be exported either, but no HSM holds them: not for production. */
  readonly unsafeSoftwareKeys?: boolean;
  /** The only certificate authorities that are believed, as PEM. */
  readonly roots?: string;
  readonly limits?: Partial<CallLimits>;
}

export interface CheckedSettings {
  readonly origin: string;
  readonly ring: string;
  readonly isHardware: boolean;
  readonly roots: string | undefined;
  readonly limits: CallLimits;
}

// Elsewhere a token for Key Vault would be given away, and the SDK's check of the challenge would check nothing.
const VAULT_URL =
  /^https:\/\/[a-z0-9](?:[a-z0-9-]{1,22}[a-z0-9])\.(vault|managedhsm)\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)$/;
// Begins the name of each key; the rest of it takes 33 of 127 characters.
const RING = /^[a-z][a-z0-9-]{0,28}$/;

/** @throws KeyError `ERR_KEY_CUSTODY` naming every setting that is wrong */
export function checkSettings(settings: Omit<AzureKeyVaultSettings, "identity">): CheckedSettings {
  const { vaultUrl, ring, roots } = settings;
  const [isVault, kind] = VAULT_URL.exec(vaultUrl) ?? [];
  const isSoftware = settings.unsafeSoftwareKeys === true;
  const limits = { ...DEFAULT_LIMITS, ...settings.limits };
  const problems = [
    ...(isVault === undefined ? ["vaultUrl is not https://<name>.vault.azure.net or alike"] : []),
    ...(RING.test(ring) ? [] : ["ring is not 1 to 29 of a-z, 0-9 and -"]),
    ...(isSoftware && kind === "managedhsm" ? ["unsafeSoftwareKeys: a managed HSM has none"] : []),
    ...Object.entries(limits)
      .filter(([, limit]) => !Number.isSafeInteger(limit) || limit < 1)
      .map(([name]) => `limits.${name} is not a whole number of at least 1`),
  ];
  if (problems.length > 0)
    throw new KeyError("ERR_KEY_CUSTODY", `Azure Key Vault settings: ${problems.join("; ")}`);
  return { origin: vaultUrl, ring, isHardware: !isSoftware, roots, limits };
}
