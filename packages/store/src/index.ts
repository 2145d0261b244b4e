export { StoreError, type StoreErrorCode } from "./errors.ts";
export type { KeptEntry, RegistryRepository, ReplayRepository, Store } from "./repositories.ts";
export { openSqliteStore, type SqliteOptions } from "./sqlite.ts";
