import { closeSync, constants, openSync, rmSync } from "node:fs";
import { backup, DatabaseSync } from "node:sqlite";
import {
  CamelCasePlugin,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { StoreError } from "../errors.ts";
import type { Engine, Failure } from "./database.ts";
import { isBusy, SqliteDriver, sqliteCode, whileBusy } from "./sqlite-driver.ts";
import type { Tables } from "./tables.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
const PAGES_AT_ONCE = 256;
// sqlite.org/rescode.html
const UNIQUE: readonly number[] = [2067, 1555];
const FOREIGN_KEY = 787;
/** Check, not null, type of a strict table. */
const VALUE: readonly number[] = [275, 1299, 3091];

/** @throws StoreError `ERR_STORE_IO`, `ERR_STORE_LOCKED` */
export async function openSqliteEngine(path: string): Promise<Engine> {
  const database = await openDatabase(path);
  return {
    kysely: new Kysely<Tables>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new SqliteDriver(database),
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
      plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
    }),
    types: { bytes: "blob", integer: "integer", tableSuffix: "strict" },
    locksRows: false,
    // Every transaction is alone from its start.
    lockMigrations: () => Promise.resolve(),
    classify,
    backup: (to) => backupTo(database, to),
  };
}

async function openDatabase(path: string): Promise<DatabaseSync> {
  let database: DatabaseSync | undefined;
  try {
    // SQLite would make it with the umask's mode; its write-ahead log gets the mode that this has.
    closeSync(openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600));
    const opened = new DatabaseSync(path, { timeout: 0 });
    database = opened;
    opened.exec("pragma trusted_schema = off; pragma foreign_keys = on");
    const mode = await whileBusy(() => opened.prepare("pragma journal_mode = wal").get());
    if (mode?.["journal_mode"] !== "wal") throw new Error("No WAL here");
    // P12: what was acknowledged survives a power cut.
    opened.exec("pragma synchronous = full; pragma journal_size_limit = 4194304");
    return opened;
  } catch (cause) {
    database?.close();
    const code = isBusy(cause) ? "ERR_STORE_LOCKED" : "ERR_STORE_IO";
    throw new StoreError(code, `Cannot open ${path}`, { cause });
  }
}

async function backupTo(database: DatabaseSync, path: string): Promise<void> {
  try {
    rmSync(path, { force: true });
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
    await backup(database, path, { rate: PAGES_AT_ONCE });
  } catch (cause) {
    throw new StoreError("ERR_STORE_IO", `Cannot back up to ${path}`, { cause });
  }
}

function classify(cause: unknown): Failure {
  const code = sqliteCode(cause);
  const constraint = cause instanceof Error ? cause.message : "";
  if (UNIQUE.includes(code)) return { kind: "unique", constraint };
  if (code === FOREIGN_KEY) return { kind: "reference", constraint };
  if (VALUE.includes(code)) return { kind: "value", constraint };
  return { kind: isBusy(cause) ? "locked" : "io", constraint };
}
