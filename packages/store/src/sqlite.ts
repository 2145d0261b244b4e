import { closeSync, constants, openSync, rmSync } from "node:fs";
import { backup, DatabaseSync } from "node:sqlite";
import { nowSeconds, type Clock } from "@redoubt/base";
import { StoreError } from "./errors.ts";
import { MIGRATIONS } from "./migrations.ts";
import type { Store } from "./repositories.ts";
import { sqliteRegistry } from "./sqlite-registry.ts";
import { DEFAULT_REPLAY_LIMITS, SqliteReplay, type ReplayLimits } from "./sqlite-replay.ts";

export interface SqliteOptions {
  readonly path: string;
  /** A store serves one realm for ever. */
  readonly realm: string;
  readonly clock: Pick<Clock, "now">;
  readonly replayLimits?: Partial<ReplayLimits>;
}

/**
 * Opens the one-machine store and holds it alone until it is disposed of.
 *
 * @throws StoreError `ERR_STORE_LOCKED`, `ERR_STORE_VERSION`, `ERR_STORE_REALM`, `ERR_STORE_CORRUPT`, `ERR_STORE_IO`
 */
export function openSqliteStore(options: SqliteOptions): Store {
  const database = openDatabase(options.path);
  try {
    migrate(database);
    bindRealm(database, options.realm);
    const replay = new SqliteReplay(database, {
      now: () => nowSeconds(options.clock),
      limits: { ...DEFAULT_REPLAY_LIMITS, ...options.replayLimits },
    });
    return {
      backup: (path) => backupTo(database, path),
      registry: sqliteRegistry(database),
      replay,
      [Symbol.dispose]: () => {
        replay.close();
        database.close();
      },
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
const PAGES_AT_ONCE = 256;

/** The process makes its own backups: nobody else can read the database while it holds the lock. */
async function backupTo(database: DatabaseSync, path: string): Promise<void> {
  rmSync(path, { force: true });
  // SQLite would make it with the umask's mode.
  closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  await backup(database, path, { rate: PAGES_AT_ONCE });
}

const SQLITE_BUSY = 5;

function openDatabase(path: string): DatabaseSync {
  const database = attempt(`open ${path}`, () => new DatabaseSync(path, { timeout: 0 }));
  try {
    // The lock goes with the process, however it ends; in exclusive mode WAL needs no shared memory.
    database.exec("pragma locking_mode = exclusive; pragma trusted_schema = off");
    const mode = database.prepare("pragma journal_mode = wal").get();
    // P12: what was acknowledged survives a power cut.
    database.exec("pragma synchronous = full; begin exclusive; commit");
    // A write-ahead log that a large transaction made longer than this is cut back to it.
    database.exec("pragma journal_size_limit = 4194304");
    if (mode?.["journal_mode"] !== "wal") throw new StoreError("ERR_STORE_IO", "No WAL here");
    return database;
  } catch (cause) {
    database.close();
    if (cause instanceof StoreError) throw cause;
    const isBusy = cause instanceof Error && "errcode" in cause && cause.errcode === SQLITE_BUSY;
    if (isBusy) throw new StoreError("ERR_STORE_LOCKED", `${path} is in use`, { cause });
    throw new StoreError("ERR_STORE_IO", `Cannot open ${path}`, { cause });
  }
}

function migrate(database: DatabaseSync): void {
  const version = Number(database.prepare("pragma user_version").get()?.["user_version"]);
  if (!(version <= MIGRATIONS.length))
    throw new StoreError(
      "ERR_STORE_VERSION",
      `Store is of version ${version}, this software knows ${MIGRATIONS.length}`,
    );
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue;
    attempt(`migration ${index + 1}`, () => {
      database.exec(`begin immediate; ${sql}; pragma user_version = ${index + 1}; commit`);
    });
  }
}

// THREAT-34: the one-time values of one realm must not turn up in another because a file was moved.
function bindRealm(database: DatabaseSync, realm: string): void {
  database.prepare("insert or ignore into meta values ('realm', ?)").run(realm);
  const found = database.prepare("select value from meta where name = 'realm'").get()?.["value"];
  if (found !== realm) throw new StoreError("ERR_STORE_REALM", `Store is not of realm ${realm}`);
}

function attempt<T>(operation: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new StoreError("ERR_STORE_IO", `Store failed: ${operation}`, { cause });
  }
}
