import { DatabaseSync, type StatementSync } from "node:sqlite";
import { historyError } from "./errors.ts";
import type { Cosigned } from "./log.ts";
import { packCheckpoint, unpackCheckpoint } from "./packed-checkpoint.ts";
import { bytesColumn, integerColumn, textColumn, type Row } from "./row.ts";

/** Whole batches in rows: nothing stands beside them but what cannot be computed from them (design note 0008). */
const SCHEMA = `
create table if not exists coord (
  id integer primary key,
  log text unique not null,
  next integer not null,
  writer text not null,
  vkey text not null,
  edge_size integer not null default 0,
  edge blob not null default x''
) strict;
create table if not exists batch (
  log integer not null,
  first integer not null,
  n integer not null,
  checkpoint blob not null,
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

/** The write-ahead log is copied out when it may be this long, and then begun anew. */
export const WAL_BYTES: number = 4 * 1024 * 1024;
/** https://sqlite.org/fileformat.html §4.1: a page with its head. */
const FRAME_BYTES = 4096 + 24;
const OVERFLOW_BYTES = 4092;
/** What a transaction writes beside its batches: the row that counts, a page of the index, and at times page 1. */
const FRAMES_PER_WRITE = 3;

/**
 * Opens the database so that a commit that returned is on disk: WAL with synchronous=FULL syncs at every commit.
 * SQLite's own checkpoint is off because it hides its errors; `Store.checkpoint` takes its place. Where a long reader
 * made the write-ahead log grow past its limit, the file is cut back when SQLite begins it anew.
 */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: BUSY_MS });
  database.exec("pragma journal_mode=WAL; pragma synchronous=FULL; pragma wal_autocheckpoint=0");
  database.exec(`pragma journal_size_limit=${WAL_BYTES}`);
  database.exec(SCHEMA);
  return database;
}

/** What the database says of one log. */
export interface LogRow {
  /** How many entries the log has. */
  readonly next: number;
  readonly writer: string;
  readonly vkey: string;
  /** A size, and the compact range there: where a restart begins to read. */
  readonly edgeSize: number;
  readonly edge: Buffer;
}

export interface StoredEntries {
  readonly first: number;
  readonly n: number;
  /** An entry bundle. */
  readonly entries: Buffer;
}

export interface StoredBatch extends StoredEntries {
  readonly checkpoint: string;
}

export interface BatchWithBodies extends StoredBatch {
  /** Sealed bodies, or a statement and its envelope: never published. */
  readonly blobs: Buffer;
}

export interface NewBatch extends BatchWithBodies {
  readonly log: string;
  readonly edge?: Buffer;
}

/** What the rows of one log are read with. */
interface KnownLog {
  readonly id: number;
  readonly origin: string;
  readonly signers: readonly string[];
}

/** The rows of the ledger. Every statement is prepared once, and no text from outside is ever part of one. */
export class Store {
  readonly #database: DatabaseSync;
  readonly #sql: ReturnType<typeof prepareAll>;
  readonly #known = new Map<string, KnownLog>();
  /** About how many frames were written since the last copy into the database file. */
  #walFrames = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#sql = prepareAll(database);
  }

  logRow(log: string): LogRow | undefined {
    const row = this.#sql.logRow.get(log);
    return row && readLogRow(row);
  }

  setLogKey(log: string, vkey: string): void {
    this.#sql.setLogKey.run(vkey, log);
  }

  createLog(log: string, writer: string, vkey: string): void {
    this.#sql.createLog.run(log, writer, vkey);
  }

  #log(origin: string): KnownLog {
    const known = this.#known.get(origin) ?? this.#readKnown(origin);
    this.#known.set(origin, known);
    return known;
  }

  #readKnown(origin: string): KnownLog {
    const row = this.#sql.logRow.get(origin);
    if (!row) throw historyError(`Log ${origin} is not in the database`);
    // Both are verifier keys, whose name ends at the first plus sign (C2SP signed-note).
    const keys = [textColumn(row, "vkey"), textColumn(row, "writer")].filter((key) => key !== "");
    const signers = keys.map((key) => key.slice(0, key.indexOf("+")));
    return { id: integerColumn(row, "id"), origin, signers };
  }

  /**
   * Writes all batches in one transaction and returns once they are durable. THREAT-07: a log whose size in the
   * database is not the one that its first batch continues was advanced by another process; nothing of it is
   * written, and it is in the returned set. Throws whatever SQLite throws, and then nothing is written at all.
   */
  write(batches: readonly NewBatch[]): ReadonlySet<string> {
    const lost = new Set<string>();
    this.#walFrames += FRAMES_PER_WRITE;
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
    const packed = packCheckpoint(checkpoint);
    this.#sql.insert.run(this.#log(log).id, first, n, packed, entries, blobs);
    if (edge) this.#sql.setEdge.run(first + n, edge, log);
    this.#walFrames += 1 + (entries.length + blobs.length) / OVERFLOW_BYTES;
    return true;
  }

  /** Keeps the rows of a log under an id that no log has and lets it begin anew; what was set aside before is gone then. */
  setAside(log: string): void {
    const { id } = this.#log(log);
    this.#sql.begin.run();
    try {
      this.#sql.removeBatches.run(-id);
      this.#sql.renameBatches.run(-id, id);
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

  batchAt(origin: string, first: number): StoredBatch | undefined {
    const log = this.#log(origin);
    const row = this.#sql.batchAt.get(log.id, first);
    return row && readBatch(row, log);
  }

  /** The batch whose last entry is entry `size - 1`. */
  batchEndingAt(origin: string, size: number): StoredBatch | undefined {
    const log = this.#log(origin);
    const row = this.#sql.batchBefore.get(log.id, size);
    const isIt = row && integerColumn(row, "first") + integerColumn(row, "n") === size;
    return isIt ? readBatch(row, log) : undefined;
  }

  /** At most `limit` batches, from the one that holds entry `from`. */
  batches(origin: string, from: number, limit: number): StoredEntries[] {
    const { id } = this.#log(origin);
    return this.#sql.batches.all(id, id, from, limit).map(readEntries);
  }

  /** The same with what is not published. */
  bodies(origin: string, from: number, limit: number): BatchWithBodies[] {
    const log = this.#log(origin);
    return this.#sql.bodies
      .all(log.id, log.id, from, limit)
      .map((row) => ({ ...readBatch(row, log), blobs: bytesColumn(row, "blobs") }));
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
    this.#walFrames += FRAMES_PER_WRITE;
    this.#sql.putCosigned.run(log, size, timeSeconds, note);
  }

  /** How far the audit is, as the log key signed it. */
  auditMark(log: string): string | undefined {
    const row = this.#sql.auditMark.get(log);
    return row && textColumn(row, "note");
  }

  putAuditMark(log: string, note: string): void {
    this.#walFrames += FRAMES_PER_WRITE;
    this.#sql.putAuditMark.run(log, note);
  }

  /** Writes a value over itself: throws as long as storage takes no writes. */
  probe(): void {
    this.#walFrames += 1;
    this.#sql.probe.run();
  }

  /** Whether the write-ahead log has become so long that it is to be copied out. */
  get isCheckpointDue(): boolean {
    return this.#walFrames * FRAME_BYTES > WAL_BYTES;
  }

  /**
   * SQLite's checkpoint, not a log's: copies the write-ahead log into the database file and syncs that, so that the
   * next commit begins the write-ahead log anew. Returns false where a reader of the database prevents it.
   */
  checkpoint(): boolean {
    const row = this.#sql.checkpoint.get() ?? {};
    this.#walFrames = 0;
    return integerColumn(row, "log") === integerColumn(row, "checkpointed");
  }

  /**
   * Where the sync of an earlier process failed, the write-ahead log that a restart reads may be in the system's
   * memory only. So it is written into the database file before anything is built on it (THREAT-05).
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
    logRow: prepare("select id, next, writer, vkey, edge_size, edge from coord where log=?"),
    setLogKey: prepare("update coord set vkey=? where log=?"),
    createLog: prepare("insert into coord (log, next, writer, vkey) values (?, 0, ?, ?)"),
    advance: prepare("update coord set next=? where log=? and next=?"),
    probe: prepare("update coord set next=next where id=(select min(id) from coord)"),
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
    batches: prepare(`select first, n, entries from batch ${page} order by first limit ?`),
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

function readEntries(row: Row): StoredEntries {
  return {
    first: integerColumn(row, "first"),
    n: integerColumn(row, "n"),
    entries: bytesColumn(row, "entries"),
  };
}

function readBatch(row: Row, { origin, signers }: KnownLog): StoredBatch {
  const stored = readEntries(row);
  const size = stored.first + stored.n;
  const packed = bytesColumn(row, "checkpoint");
  return { ...stored, checkpoint: unpackCheckpoint(packed, { origin, size, signers }) };
}
