export { BodySealer, type SealedBatch } from "./bodies.ts";
export { parseConfig, type SignerConfig } from "./config.ts";
export { openSigner, type Signer, type SignerOptions } from "./context.ts";
export { initialise } from "./initialise.ts";
export type { LogWriter } from "./log-writer.ts";
export type { TokenLog } from "./mint.ts";
export { decideIssue, type Grant, type Policy, type PolicyInput } from "./policy.ts";
