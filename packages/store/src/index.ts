export { Directory, type DirectoryLimits } from "./directory.ts";
export { StoreError, type StoreErrorCode } from "./errors.ts";
export type { Client, ClientAuth, Tenant } from "./records.ts";
export type {
  ClientRepository,
  ReplayRepository,
  Store,
  TenantRepository,
} from "./repositories.ts";
export { openSqliteStore, type SqliteOptions } from "./sqlite.ts";
