import type { Clock } from "@redoubt/base";
import { approvalsRepository, type ApprovalsRepository } from "./approvals.ts";
import { ceremoniesRepository, type CeremoniesRepository } from "./ceremonies.ts";
import { Database, type Engine } from "./database.ts";
import { migratePeople } from "./migrate.ts";
import { outboxRepository, type Outbox } from "./outbox.ts";
import { passesRepository, type PassesRepository } from "./passes.ts";
import { passkeysRepository, type PasskeysRepository } from "./passkeys.ts";
import { peopleRepository, type PeopleRepository } from "./people.ts";
import { protocolRepository, type ProtocolRepository } from "./protocol.ts";
import { prune } from "./prune.ts";
import { scimTokensRepository, type ScimTokens } from "./scim-tokens.ts";
import { sharedSecret } from "./secrets.ts";
import { openSqliteEngine } from "./sqlite-engine.ts";
import { standing, type Standing } from "./standing.ts";
import { talliesRepository, type Tallies } from "./tallies.ts";

/** A file of SQLite, or the URL of a PostgreSQL database; several processes may open either. */
export type PeoplePlace = { readonly path: string } | { readonly url: string };

export interface PeopleStoreOptions {
  /** A database serves one realm for ever. */
  readonly realm: string;
  readonly clock: Pick<Clock, "now">;
}

/** A realm's people and all that is theirs. What a promise answers is durable when it resolves. */
export interface PeopleStore extends AsyncDisposable {
  readonly people: PeopleRepository;
  readonly standing: Standing;
  readonly passkeys: PasskeysRepository;
  readonly passes: PassesRepository;
  readonly protocol: ProtocolRepository;
  readonly ceremonies: CeremoniesRepository;
  readonly outbox: Outbox;
  readonly tallies: Tallies;
  readonly scimTokens: ScimTokens;
  /** 32 random bytes of this name, the same for all processes on the database; made at the first call. */
  secret(name: string): Promise<Buffer>;
  readonly approvals: ApprovalsRepository;
  /** Removes what has expired, at most `limit` rows of each kind. @returns how many rows went */
  prune(limit: number): Promise<number>;
  /**
   * Writes a copy as of one moment to a new file, while work goes on; what stands there is replaced.
   *
   * @throws StoreError `ERR_STORE_UNSUPPORTED`: PostgreSQL has its own ways; `ERR_STORE_IO`
   */
  backup(path: string): Promise<void>;
}

/**
 * Opens the database and brings it to this software's version.
 *
 * @throws StoreError `ERR_STORE_REALM`, `ERR_STORE_VERSION`, `ERR_STORE_UNSAFE`, `ERR_STORE_LOCKED`, `ERR_STORE_CORRUPT`, `ERR_STORE_IO`
 */
export async function openPeopleStore(
  place: PeoplePlace,
  { realm, clock }: PeopleStoreOptions,
): Promise<PeopleStore> {
  const engine = await openEngine(place);
  const database = new Database(engine, clock);
  try {
    await migratePeople(database, realm);
  } catch (error) {
    await engine.kysely.destroy();
    throw error;
  }
  return {
    people: peopleRepository(database),
    standing: standing(database),
    passkeys: passkeysRepository(database),
    passes: passesRepository(database),
    protocol: protocolRepository(database),
    ceremonies: ceremoniesRepository(database),
    outbox: outboxRepository(database),
    tallies: talliesRepository(database),
    scimTokens: scimTokensRepository(database),
    secret: (name) => sharedSecret(database, name),
    approvals: approvalsRepository(database),
    prune: (limit) => prune(database, limit),
    backup: (path) => engine.backup(path),
    [Symbol.asyncDispose]: () => engine.kysely.destroy(),
  };
}

/** For what the repositories do not offer. */
export async function openEngine(place: PeoplePlace): Promise<Engine> {
  if ("path" in place) return openSqliteEngine(place.path);
  // The driver of PostgreSQL is loaded by those who use it.
  const { openPostgresEngine } = await import("./postgres-engine.ts");
  return openPostgresEngine(place.url);
}
