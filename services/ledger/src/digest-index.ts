import { DatabaseSync } from "node:sqlite";
import { setImmediate as turn } from "node:timers/promises";
import { splitEntries } from "./entries.ts";
import type { Log } from "./log.ts";
import { integerColumn } from "./row.ts";
import type { Store } from "./store.ts";

const SCHEMA = `
create table if not exists indexed (
  id integer primary key, log text unique not null, upto integer not null
) strict;
create table if not exists digest (
  log integer not null, prefix blob not null, entry integer not null, primary key (log, prefix, entry)
) strict, without rowid;`;

const PREFIX_BYTES = 16;
const SLICE_BATCHES = 32;
/** docs/spec/logs.md §1, §4: after the tag stands the digest by which an entry is looked for. */
const DIGEST_OFFSET = 1;
const DIGEST_BYTES = 32;

/**
 * Where a digest stands in a log. A database of its own that is filled only when somebody asks, so that commits
 * never pay for it. It is derived: an answer is checked against the entry itself, and the file may be deleted.
 */
export class DigestIndex implements Disposable {
  readonly #path: string;
  readonly #store: Store;
  #opened: ReturnType<typeof openIndex> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string, store: Store) {
    this.#path = path;
    this.#store = store;
  }

  get #sql(): ReturnType<typeof openIndex> {
    return (this.#opened ??= openIndex(this.#path));
  }

  /** The first entry with this digest; entries up to the size that the log has now are looked at. */
  async find(log: Log, digest: Buffer): Promise<number | undefined> {
    const running = this.#last.then(() => this.#catchUp(log));
    this.#last = running.catch(() => undefined);
    await running;
    const prefix = digest.subarray(0, PREFIX_BYTES);
    for (const row of this.#sql.find.all(this.#logNumber(log), prefix)) {
      const index = integerColumn(row, "entry");
      if (this.#digestAt(log, index)?.equals(digest)) return index;
    }
    return undefined;
  }

  async #catchUp(log: Log): Promise<void> {
    const id = this.#logNumber(log);
    const size = log.size;
    let upto = this.#indexedUpTo(id);
    while (upto < size) {
      upto = this.#addSlice(log, id, upto);
      // oxlint-disable-next-line no-await-in-loop -- commits go first
      await turn();
    }
  }

  #addSlice(log: Log, id: number, from: number): number {
    let upto = from;
    this.#sql.begin.run();
    try {
      for (const { first, n, entries } of this.#store.batches(log.origin, from, SLICE_BATCHES)) {
        for (const [i, entry] of splitEntries(entries, n, log.identity.kind).entries())
          this.#sql.insert.run(id, digestOf(entry).subarray(0, PREFIX_BYTES), first + i);
        upto = first + n;
      }
      this.#sql.setUpTo.run(upto, id);
      this.#sql.commit.run();
      return upto;
    } catch (error) {
      if (this.#sql.database.isTransaction) this.#sql.rollback.run();
      throw error;
    }
  }

  #logNumber(log: Log): number {
    this.#sql.addLog.run(log.origin);
    const row = this.#sql.logNumber.get(log.origin);
    return row ? integerColumn(row, "id") : 0;
  }

  #indexedUpTo(id: number): number {
    const row = this.#sql.upTo.get(id);
    return row ? integerColumn(row, "upto") : 0;
  }

  #digestAt(log: Log, index: number): Buffer | undefined {
    const [batch] = this.#store.batches(log.origin, index, 1);
    if (!batch) return undefined;
    const entry = splitEntries(batch.entries, batch.n, log.identity.kind)[index - batch.first];
    return entry && digestOf(entry);
  }

  [Symbol.dispose](): void {
    this.#opened?.database.close();
  }
}

function digestOf(entry: Buffer): Buffer {
  return entry.subarray(DIGEST_OFFSET, DIGEST_OFFSET + DIGEST_BYTES);
}

function openIndex(path: string) {
  const database = new DatabaseSync(path);
  database.exec("pragma journal_mode=WAL; pragma synchronous=NORMAL");
  // SQLite copies the write-ahead log out by itself, at about this length; its file is cut back to that then.
  database.exec("pragma journal_size_limit=4194304");
  database.exec(SCHEMA);
  return {
    database,
    begin: database.prepare("begin immediate"),
    commit: database.prepare("commit"),
    rollback: database.prepare("rollback"),
    addLog: database.prepare("insert or ignore into indexed (log, upto) values (?, 0)"),
    logNumber: database.prepare("select id from indexed where log=?"),
    upTo: database.prepare("select upto from indexed where id=?"),
    setUpTo: database.prepare("update indexed set upto=? where id=?"),
    insert: database.prepare("insert or ignore into digest (log, prefix, entry) values (?, ?, ?)"),
    find: database.prepare(
      "select entry from digest where log=? and prefix=? order by entry limit 16",
    ),
  };
}
