export { DEFAULT_LIMITS, type CallLimits, type GateParts } from "@redoubt/custody/call-gate";
export { parseGoogleKmsConfig } from "./config.ts";
export {
  openGoogleKmsCustodian,
  type GoogleKmsCustodian,
  type GoogleKmsParts,
} from "./google-kms-custodian.ts";
export type { AuthClient } from "./sdk.ts";
export type { GoogleKmsSettings } from "./settings.ts";
