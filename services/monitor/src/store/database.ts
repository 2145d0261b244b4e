import { closeSync, constants, openSync, rmSync } from "node:fs";
import { backup, DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { monitorError } from "../errors.ts";
import { SCHEMA_STEPS } from "./schema.ts";

export type Row = Readonly<Record<string, SQLOutputValue>>;

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
/** Pages that are copied at one time: all other work waits for so long. */
const BACKUP_PAGES = 256;

/**
 * The monitor's only state. WAL with synchronous=FULL: what was acknowledged is on the disk. Locked for this
 * process alone, so that two witnesses can never share one memory (THREAT-07).
 */
export class Database implements Disposable {
  readonly #db: DatabaseSync;

  constructor(path: string) {
    // SQLite would make the file with the umask's mode; the log beside it takes the mode of the file.
    closeSync(openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600));
    this.#db = new DatabaseSync(path);
    try {
      this.#db.exec("PRAGMA locking_mode = EXCLUSIVE");
      this.#db.exec("PRAGMA journal_mode = WAL");
      this.#db.exec("PRAGMA synchronous = FULL");
      // Digests fall anywhere in their table. With a large write-ahead log, many of them share one write of a page.
      this.#db.exec("PRAGMA wal_autocheckpoint = 4000");
      // One transaction may make the write-ahead log larger than this: afterwards it is cut again.
      this.#db.exec("PRAGMA journal_size_limit = 16777216");
      this.#db.exec("PRAGMA cache_size = -16000");
      this.#migrate();
    } catch (cause) {
      this.#db.close();
      throw monitorError("ERR_MONITOR_STORE", "Monitor database cannot be opened", { cause });
    }
  }

  /** Writes a copy as of one moment to a new file, while work goes on; what stands there is replaced. */
  async backup(path: string): Promise<void> {
    rmSync(path, { force: true });
    closeSync(openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
    await backup(this.#db, path, { rate: BACKUP_PAGES });
  }

  prepare(sql: string): ReturnType<DatabaseSync["prepare"]> {
    return this.#db.prepare(sql);
  }

  /** All or nothing, durable on return; joins the transaction that is open, if any. */
  transaction<T>(work: () => T): T {
    if (this.#db.isTransaction) return work();
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #migrate(): void {
    const version = integerOf(this.#db.prepare("PRAGMA user_version").get() ?? {}, "user_version");
    if (version > SCHEMA_STEPS.length)
      throw monitorError("ERR_MONITOR_STORE", `Monitor database: unknown version ${version}`);
    if (version === SCHEMA_STEPS.length) return;
    this.transaction(() => {
      for (const step of SCHEMA_STEPS.slice(version)) this.#db.exec(step);
      this.#db.exec(`PRAGMA user_version = ${SCHEMA_STEPS.length}`);
    });
  }
}

export function integerOf(row: Row, name: string): number {
  const value = row[name];
  if (typeof value !== "number") throw wrongColumn(name);
  return value;
}

export function textOf(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== "string") throw wrongColumn(name);
  return value;
}

export function optionalTextOf(row: Row, name: string): string | undefined {
  return row[name] === null ? undefined : textOf(row, name);
}

export function bytesOf(row: Row, name: string): Buffer {
  const value = row[name];
  if (!(value instanceof Uint8Array)) throw wrongColumn(name);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function wrongColumn(name: string): Error {
  return monitorError("ERR_MONITOR_STORE", `Monitor database: column ${name} has a wrong type`);
}
