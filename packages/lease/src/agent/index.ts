export { type Attester, TpmAttester, type TpmAttesterOptions } from "./attester.ts";
export { LeaseAgent, type LeaseAgentOptions, type LeaseInHand } from "./lease-agent.ts";
