export { type Attester, TpmAttester, type TpmAttesterOptions } from "./attester.ts";
export { openAttester, softImageValue, type OpenedAttester } from "./open-attester.ts";
export { LeaseAgent, type LeaseAgentOptions, type LeaseInHand } from "./lease-agent.ts";
