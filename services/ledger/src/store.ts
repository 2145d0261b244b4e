import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Cosigned } from "./log.ts";
import { bytesColumn, integerColumn, textColumn, type Row } from "./row.ts";

const SCHEMA = `
create table if not exists coord (
  log text primary key,
  next integer not null,
  writer text not null,
  vkey text not null,
  edge_size integer not null default 0,
  edge blob not null default x''
) strict;
create table if not exists batch (
  log text not null,
  first integer not null,
  n integer not null,
  checkpoint text not null,
  entries blob not null,
  blobs blob not null,
  primary key (log, first)
) strict;
create table if not exists cosigned (
  log text primary key,
  size integer not null,
  time integer not null,
  note text not null
) strict;
create table if not exists audited (
  log text primary key,
  note text not null
) strict;`;

/** How long a second process may hold the database before a commit is given up. */
const BUSY_MS = 2000;

/**
 * Opens the database so that a commit that returned is on disk: WAL with synchronous=FULL syncs at every commit.
 * SQLite's own checkpoint is off because it hides its errors; `Store.checkpoint` takes its place.
 */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: BUSY_MS });
  database.exec("pragma journal_mode=WAL; pragma synchronous=FULL; pragma wal_autocheckpoint=0");
  database.exec(SCHEMA);
  return database;
}

/** What the database says of one log. */
export interface LogRow {
  readonly next: number;
  readonly writer: string;
  readonly vkey: string;
  /** A size, and the compact range there: where a restart begins to read. */
  readonly edgeSize: number;
  readonly edge: Buffer;
}

export interface StoredBatch {
  readonly first: number;
  readonly n: number;
  readonly checkpoint: string;
  /** An entry bundle. */
  readonly entries: Buffer;
}

export interface BatchWithBodies extends StoredBatch {
  /** Sealed bodies, or a statement and its envelope: never published. */
  readonly blobs: Buffer;
}

export interface NewBatch extends BatchWithBodies {
  readonly log: string;
  readonly edge?: Buffer;
}

/** The rows of the ledger. Every statement is prepared once, and no text from outside is ever part of one. */
export class Store {
  readonly #database: DatabaseSync;
  readonly #sql: ReturnType<typeof prepareAll>;
  #bytesSinceCheckpoint = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#sql = prepareAll(database);
  }

  logRow(log: string): LogRow | undefined {
    const row = this.#sql.logRow.get(log);
    return row && readLogRow(row);
  }

  createLog(log: string, writer: string, vkey: string): void {
    this.#sql.createLog.run(log, writer, vkey);
  }

  /**
   * Writes all batches in one transaction and returns once they are durable. THREAT-07: a log whose size in the
   * database is not the one that its first batch continues was advanced by another process; nothing of it is
   * written, and it is in the returned set. Throws whatever SQLite throws, and then nothing is written at all.
   */
  write(batches: readonly NewBatch[]): ReadonlySet<string> {
    const lost = new Set<string>();
    try {
      this.#sql.begin.run();
      for (const batch of batches)
        if (!lost.has(batch.log) && !this.#insert(batch)) lost.add(batch.log);
      this.#sql.commit.run();
    } catch (error) {
      this.#rollback();
      throw error;
    }
    return lost;
  }

  #insert(batch: NewBatch): boolean {
    const { log, first, n, checkpoint, entries, blobs, edge } = batch;
    const { changes } = this.#sql.advance.run(first + n, log, first);
    if (changes !== 1) return false;
    this.#sql.insert.run(log, first, n, checkpoint, entries, blobs);
    if (edge) this.#sql.setEdge.run(first + n, edge, log);
    this.#bytesSinceCheckpoint += entries.length + blobs.length;
    return true;
  }

  /** Keeps the rows of a log under another name and lets it begin anew; what was set aside before is gone then. */
  setAside(log: string): void {
    this.#sql.begin.run();
    try {
      const aside = `${log}#aside`;
      this.#sql.removeBatches.run(aside);
      this.#sql.renameBatches.run(aside, log);
      this.#sql.removeCosigned.run(log);
      this.#sql.restart.run(log);
      this.#sql.commit.run();
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  #rollback(): void {
    try {
      if (this.#database.isTransaction) this.#sql.rollback.run();
    } catch {
      // The error that led here is the one to report; SQLite ends the transaction with the connection.
    }
  }

  batchAt(log: string, first: number): StoredBatch | undefined {
    const row = this.#sql.batchAt.get(log, first);
    return row && readBatch(row);
  }

  /** The batch whose last entry is entry `size - 1`. */
  batchEndingAt(log: string, size: number): StoredBatch | undefined {
    const row = this.#sql.batchBefore.get(log, size);
    const batch = row && readBatch(row);
    return batch && batch.first + batch.n === size ? batch : undefined;
  }

  /** At most `limit` batches, from the one that holds entry `from`. */
  batches(log: string, from: number, limit: number): StoredBatch[] {
    return this.#sql.batches.all(log, log, from, limit).map(readBatch);
  }

  /** The same with what is not published. */
  bodies(log: string, from: number, limit: number): BatchWithBodies[] {
    return this.#sql.bodies
      .all(log, log, from, limit)
      .map((row) => ({ ...readBatch(row), blobs: bytesColumn(row, "blobs") }));
  }

  cosigned(log: string): Cosigned | undefined {
    const row = this.#sql.cosigned.get(log);
    return (
      row && {
        note: textColumn(row, "note"),
        size: integerColumn(row, "size"),
        timeSeconds: integerColumn(row, "time"),
      }
    );
  }

  putCosigned(log: string, { size, timeSeconds, note }: Cosigned): void {
    this.#sql.putCosigned.run(log, size, timeSeconds, note);
  }

  /** How far the audit is, as the log key signed it. */
  auditMark(log: string): string | undefined {
    const row = this.#sql.auditMark.get(log);
    return row && textColumn(row, "note");
  }

  putAuditMark(log: string, note: string): void {
    this.#sql.putAuditMark.run(log, note);
  }

  get bytesSinceCheckpoint(): number {
    return this.#bytesSinceCheckpoint;
  }

  /** Copies the write-ahead log into the database file and syncs it, so that the former stays short. */
  checkpoint(): void {
    this.#sql.checkpoint.all();
    this.#bytesSinceCheckpoint = 0;
  }

  /**
   * What a restart finds in the write-ahead log may be in memory only, where the sync of an earlier process
   * failed: it is written anew into the database file before anything is built on it (THREAT-05).
   */
  settle(): void {
    this.#sql.settle.all();
  }

  close(): void {
    this.#database.close();
  }
}

function prepareAll(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  const page =
    "where log=? and first>=coalesce((select max(first) from batch where log=? and first<=?),0)";
  return {
    begin: prepare("begin immediate"),
    commit: prepare("commit"),
    rollback: prepare("rollback"),
    checkpoint: prepare("pragma wal_checkpoint(PASSIVE)"),
    settle: prepare("pragma wal_checkpoint(TRUNCATE)"),
    logRow: prepare("select next, writer, vkey, edge_size, edge from coord where log=?"),
    createLog: prepare("insert into coord (log, next, writer, vkey) values (?, 0, ?, ?)"),
    advance: prepare("update coord set next=? where log=? and next=?"),
    setEdge: prepare("update coord set edge_size=?, edge=? where log=?"),
    removeBatches: prepare("delete from batch where log=?"),
    renameBatches: prepare("update batch set log=? where log=?"),
    removeCosigned: prepare("delete from cosigned where log=?"),
    restart: prepare("update coord set next=0, edge_size=0, edge=x'' where log=?"),
    insert: prepare(
      "insert into batch (log, first, n, checkpoint, entries, blobs) values (?, ?, ?, ?, ?, ?)",
    ),
    batchAt: prepare("select first, n, checkpoint, entries from batch where log=? and first=?"),
    batchBefore: prepare(
      "select first, n, checkpoint, entries from batch where log=? and first<? order by first desc limit 1",
    ),
    batches: prepare(
      `select first, n, checkpoint, entries from batch ${page} order by first limit ?`,
    ),
    bodies: prepare(
      `select first, n, checkpoint, entries, blobs from batch ${page} order by first limit ?`,
    ),
    cosigned: prepare("select size, time, note from cosigned where log=?"),
    auditMark: prepare("select note from audited where log=?"),
    putAuditMark: prepare("insert or replace into audited (log, note) values (?, ?)"),
    putCosigned: prepare(
      "insert or replace into cosigned (log, size, time, note) values (?, ?, ?, ?)",
    ),
  };
}

function readLogRow(row: Row): LogRow {
  return {
    next: integerColumn(row, "next"),
    writer: textColumn(row, "writer"),
    vkey: textColumn(row, "vkey"),
    edgeSize: integerColumn(row, "edge_size"),
    edge: bytesColumn(row, "edge"),
  };
}

function readBatch(row: Row): StoredBatch {
  return {
    first: integerColumn(row, "first"),
    n: integerColumn(row, "n"),
    checkpoint: textColumn(row, "checkpoint"),
    entries: bytesColumn(row, "entries"),
  };
}
