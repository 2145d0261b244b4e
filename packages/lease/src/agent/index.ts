export { type Attester, type BootLogs, TpmAttester, type TpmAttesterOptions } from "./attester.ts";
export { AzureAttester, type AzureAttesterOptions } from "./azure-attester.ts";
export { openAttester, softImageValue, type OpenedAttester } from "./open-attester.ts";
export { LeaseAgent, type LeaseAgentOptions, type LeaseInHand } from "./lease-agent.ts";
export { TsmAttester, type TsmAttesterOptions } from "./tsm-attester.ts";
export type { TsmFiles } from "./tsm-files.ts";
