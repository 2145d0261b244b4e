export { StoreError, type StoreErrorCode } from "./errors.ts";
export type { KeptEntry, RegistryRepository, ReplayRepository, Store } from "./repositories.ts";
export { openSqliteStore, type SqliteOptions } from "./sqlite.ts";
export { openPeopleStore, type PeoplePlace, type PeopleStore } from "./people/open-people-store.ts";
export type { Leased } from "./people/outbox.ts";
export type { PassRefusal } from "./people/passes.ts";
export type { NewPasskey, Passkey } from "./people/passkeys.ts";
export { userNameKey, type Email, type Person, type PersonDetails } from "./people/person.ts";
export type { ProtocolRepository, StoredProtocolRow } from "./people/protocol.ts";
