export { parseConfig, type Config, type LogConfig } from "./config.ts";
export { openLedger, type Ledger, type LedgerOptions } from "./context.ts";
export type { LedgerErrorCode } from "./errors.ts";
export { initialise, type Identity } from "./initialise.ts";
