import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from "kysely";
import { StoreError } from "../errors.ts";
import { checkParameters, isRows } from "./database.ts";

const BUSY_MS = 10;
/** Some 5 s: no transaction of ours takes so long. */
const BUSY_ATTEMPTS = 500;
const MAX_WAITING = 4096;
/** Statements that are kept compiled; ours are fewer. */
const MAX_STATEMENTS = 256;
const SQLITE_BUSY = 5;

/** Also each of its extended codes. */
export function isBusy(cause: unknown): boolean {
  return (sqliteCode(cause) & 0xff) === SQLITE_BUSY;
}

/** SQLite's result code, extended; 0 where it is no error of SQLite's. */
export function sqliteCode(cause: unknown): number {
  const isCoded = cause instanceof Error && "errcode" in cause;
  return isCoded && typeof cause.errcode === "number" ? cause.errcode : 0;
}

/** Waits outside SQLite while another process writes: its own wait would stop this one. */
export async function whileBusy<T>(once: () => T, attempts = BUSY_ATTEMPTS): Promise<T> {
  for (let attempt = 1; ; attempt += 1)
    try {
      return once();
    } catch (cause) {
      if (!isBusy(cause) || attempt >= attempts) throw cause;
      // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
      await sleep(BUSY_MS);
    }
}

/** One connection, which one transaction has at a time; the others wait in the order in which they came. */
export class SqliteDriver implements Driver {
  readonly #connection: SqliteConnection;
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  constructor(database: DatabaseSync) {
    this.#connection = new SqliteConnection(database);
  }

  init(): Promise<void> {
    return Promise.resolve();
  }

  async acquireConnection(): Promise<SqliteConnection> {
    if (this.#waiting.length >= MAX_WAITING)
      throw new StoreError("ERR_STORE_FULL", "Too many transactions wait for the store");
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#isTaken = true;
    return this.#connection;
  }

  releaseConnection(): Promise<void> {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#isTaken = false;
    return Promise.resolve();
  }

  /** Writes from the start: a transaction that begins to write later can be refused for what it has read. */
  beginTransaction(): Promise<void> {
    return this.#connection.exec("begin immediate");
  }

  commitTransaction(): Promise<void> {
    return this.#connection.exec("commit");
  }

  rollbackTransaction(): Promise<void> {
    return this.#connection.rollback();
  }

  destroy(): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  exec(sql: string): Promise<void> {
    return whileBusy(() => this.#database.exec(sql));
  }

  /** What failed by a full disk, SQLite may have undone already. */
  rollback(): Promise<void> {
    if (this.#database.isTransaction) this.#database.exec("rollback");
    return Promise.resolve();
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    return whileBusy(() => this.#execute<R>(sql, parameters));
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    yield await this.executeQuery<R>(query);
  }

  #execute<R>(sql: string, parameters: readonly unknown[]): QueryResult<R> {
    checkParameters(parameters);
    const statement = this.#prepare(sql);
    const values = parameters.map(toInput);
    if (statement.columns().length === 0) {
      const { changes } = statement.run(...values);
      return { rows: [], numAffectedRows: BigInt(changes) };
    }
    const rows: unknown = statement.all(...values).map(withBuffers);
    if (!isRows<R>(rows)) throw new TypeError("Rows are a list");
    return { rows, numAffectedRows: BigInt(rows.length) };
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.#database.prepare(sql);
    if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
    this.#statements.set(sql, statement);
    return statement;
  }
}

function toInput(value: unknown): SQLInputValue {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  if (typeof value === "bigint" || value instanceof Uint8Array) return value;
  throw new TypeError(`No SQL value: ${typeof value}`);
}

/** As PostgreSQL's driver gives them. */
function withBuffers(row: Readonly<Record<string, SQLOutputValue>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      value instanceof Uint8Array
        ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
        : value,
    ]),
  );
}
