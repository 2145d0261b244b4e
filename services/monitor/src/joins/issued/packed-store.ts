import { HASH_BYTES } from "@redoubt/tlog";
import { bytesOf, integerOf, textOf, type Database } from "../../store/database.ts";
import type { Delivery } from "./batch.ts";
import { DigestFilter } from "./digest-filter.ts";

/** Digests that were read at one time from one log, and that share what became of them. */
export interface Block {
  readonly id: number;
  readonly logId: number;
  readonly origin: string;
  readonly realm: string;
  /** Running time. */
  readonly at: number;
  readonly delivery: number;
  readonly digests: Buffer;
}

/** Blocks of one log that were put on shelves together. */
interface Run {
  readonly id: number;
  readonly realm: string;
  /** Of its newest block. */
  readonly at: number;
  /** Only the newest runs have it in memory. */
  filter: DigestFilter | undefined;
}

/** Names of the three tables. */
export interface PackedTables {
  readonly blocks: string;
  readonly runs: string;
  readonly shelves: string;
}

/** A digest's first ten bits say its shelf. Of a run of the usual size, 64 digests are on each shelf: half a page. */
const SHELVES = 1024;
const ISSUED: PackedTables = { blocks: "blocks", runs: "runs", shelves: "shelves" };
/** Of the newest 33 million digests. */
const MAX_FILTER_BYTES = 32 * 1024 * 1024;

/**
 * Digests whose fate is settled, without a row for each (design note 0014). New ones come in blocks, in the order of
 * reading; many blocks together become a run, of which each shelf holds the digests that begin alike. Both are
 * written to the end of their table, while rows in the order of digests would each write a page of their own.
 */
export class PackedStore {
  readonly #append;
  readonly #blocks;
  readonly #removeBlock;
  readonly #addRun;
  readonly #addShelf;
  readonly #shelf;
  readonly #clear;
  readonly #dropRun;
  /** Oldest first. */
  readonly #runs: Run[];
  #filterBytes = 0;

  constructor(db: Database, { blocks, runs, shelves }: PackedTables = ISSUED) {
    this.#append = db.prepare(
      `INSERT INTO ${blocks} (log, at, delivered, digests) VALUES (?, ?, ?, ?)`,
    );
    this.#blocks = db.prepare(
      `SELECT b.id, b.log AS logId, f.log, f.realm, b.at, b.delivered, b.digests
       FROM ${blocks} b JOIN follow f ON f.id = b.log ORDER BY b.id`,
    );
    this.#removeBlock = db.prepare(`DELETE FROM ${blocks} WHERE id = ?`);
    this.#addRun = db.prepare(`INSERT INTO ${runs} (log, at, filter) VALUES (?, ?, ?)`);
    this.#addShelf = db.prepare(`INSERT INTO ${shelves} VALUES (?, ?)`);
    this.#shelf = db.prepare(`SELECT digests FROM ${shelves} WHERE id = ?`);
    this.#clear = db.prepare(`DELETE FROM ${shelves} WHERE id >= ? AND id < ?`);
    this.#dropRun = db.prepare(`DELETE FROM ${runs} WHERE run = ?`);
    this.#runs = this.#load(db, runs);
  }

  /** @returns the id of the block */
  append(logId: number, at: number, delivery: Delivery, digests: Buffer): number {
    return Number(this.#append.run(logId, at, delivery, digests).lastInsertRowid);
  }

  blocks(): Block[] {
    return this.#blocks.all().map((row) => ({
      id: integerOf(row, "id"),
      logId: integerOf(row, "logId"),
      origin: textOf(row, "log"),
      realm: textOf(row, "realm"),
      at: integerOf(row, "at"),
      delivery: integerOf(row, "delivered"),
      digests: bytesOf(row, "digests"),
    }));
  }

  removeBlock(id: number): void {
    this.#removeBlock.run(id);
  }

  /** Within a transaction: these blocks become one run for each log. */
  shelve(blocks: readonly Block[]): void {
    for (const [logId, some] of Map.groupBy(blocks, (block) => block.logId)) {
      const digests = Buffer.concat(some.map((block) => block.digests));
      const filter = DigestFilter.of(digests);
      const at = Math.max(...some.map((block) => block.at));
      const id = Number(this.#addRun.run(logId, at, filter.bytes).lastInsertRowid);
      for (const [shelf, part] of sortByShelf(digests))
        this.#addShelf.run(id * SHELVES + shelf, part);
      this.#runs.push({ id, realm: some[0]?.realm ?? "", at, filter });
      this.#filterBytes += filter.bytes.length;
    }
    for (const { id } of blocks) this.removeBlock(id);
    this.#trimFilters();
  }

  /** The realm of the run that the digest is in; only of this realm, if one is given. The newest are looked at first. */
  realmOf(digest: Buffer, realm?: string): string | undefined {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i];
      if (!run || (realm !== undefined && run.realm !== realm)) continue;
      if (run.filter?.mayHold(digest) === false) continue;
      const shelf = this.#shelf.get(run.id * SHELVES + shelfOf(digest));
      if (shelf && holds(bytesOf(shelf, "digests"), digest)) return run.realm;
    }
    return undefined;
  }

  /**
   * Within a transaction: forgets the oldest run, if its newest block was written before this time.
   *
   * @returns whether it did
   */
  prune(before: number): boolean {
    const [oldest] = this.#runs;
    if (!oldest || oldest.at >= before) return false;
    this.#clear.run(oldest.id * SHELVES, (oldest.id + 1) * SHELVES);
    this.#dropRun.run(oldest.id);
    this.#runs.shift();
    this.#filterBytes -= oldest.filter?.bytes.length ?? 0;
    return true;
  }

  #load(db: Database, runs: string): Run[] {
    const filterOf = db.prepare(`SELECT filter FROM ${runs} WHERE run = ?`);
    const rows = db
      .prepare(
        `SELECT r.run, f.realm, r.at FROM ${runs} r JOIN follow f ON f.id = r.log ORDER BY r.run DESC`,
      )
      .all();
    const found = rows.map((row): Run => {
      const id = integerOf(row, "run");
      const isLoaded = this.#filterBytes < MAX_FILTER_BYTES;
      const bytes = isLoaded ? bytesOf(filterOf.get(id) ?? {}, "filter") : undefined;
      this.#filterBytes += bytes?.length ?? 0;
      const filter = bytes && new DigestFilter(bytes);
      return { id, realm: textOf(row, "realm"), at: integerOf(row, "at"), filter };
    });
    return found.toReversed();
  }

  #trimFilters(): void {
    for (const run of this.#runs) {
      if (this.#filterBytes <= MAX_FILTER_BYTES) return;
      this.#filterBytes -= run.filter?.bytes.length ?? 0;
      run.filter = undefined;
    }
  }
}

/** A match counts only where a digest begins: the bytes of two neighbours may look like a third. */
function holds(digests: Buffer, digest: Buffer): boolean {
  let at = digests.indexOf(digest);
  while (at !== -1 && at % HASH_BYTES !== 0) at = digests.indexOf(digest, at + 1);
  return at !== -1;
}

export function shelfOf(digests: Buffer, at = 0): number {
  return ((digests[at] ?? 0) << 2) | ((digests[at + 1] ?? 0) >> 6);
}

/** The digests of each shelf that has any, lowest shelf first. */
export function sortByShelf(digests: Buffer): [shelf: number, digests: Buffer][] {
  const ends = new Uint32Array(SHELVES + 1);
  for (let at = 0; at < digests.length; at += HASH_BYTES) {
    const next = shelfOf(digests, at) + 1;
    ends[next] = (ends[next] ?? 0) + HASH_BYTES;
  }
  for (let i = 1; i <= SHELVES; i++) ends[i] = (ends[i] ?? 0) + (ends[i - 1] ?? 0);
  const places = ends.slice();
  const sorted = Buffer.alloc(digests.length);
  for (let at = 0; at < digests.length; at += HASH_BYTES) {
    const shelf = shelfOf(digests, at);
    const place = places[shelf] ?? 0;
    digests.copy(sorted, place, at, at + HASH_BYTES);
    places[shelf] = place + HASH_BYTES;
  }
  return Array.from({ length: SHELVES }, (_, shelf): [number, Buffer] => [
    shelf,
    sorted.subarray(ends[shelf], ends[shelf + 1]),
  ]).filter(([, part]) => part.length > 0);
}
