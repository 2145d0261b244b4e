export { parseAwsKmsConfig, type AwsKmsConfig } from "./config.ts";
export { openAwsKmsCustodian } from "./custodian.ts";
export type {
  AwsCredentials,
  AwsCredentialSource,
  AwsKmsLimits,
  AwsKmsOptions,
} from "./options.ts";
