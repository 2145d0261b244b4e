export {
  openAzureKeyVaultCustodian,
  type AzureKeyVaultCustodian,
  type AzureKeyVaultParts,
} from "./azure-key-vault-custodian.ts";
export { DEFAULT_LIMITS, type CallLimits, type GateParts } from "@redoubt/custody/call-gate";
export { parseAzureKeyVaultConfig } from "./config.ts";
export type { TokenCredential } from "./sdk.ts";
export type { AzureIdentity, AzureKeyVaultSettings } from "./settings.ts";
