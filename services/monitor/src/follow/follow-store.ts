import { CompactRange, HASH_BYTES } from "@redoubt/tlog";
import { bytesOf, integerOf, type Database } from "../store/database.ts";

export interface Followed {
  /** Stands for the log in the tables of digests. */
  readonly id: number;
  readonly range: CompactRange;
  readonly root: Buffer;
  /** Size of the log when it was first looked at; undefined until then. */
  readonly baseline: number | undefined;
}

/** How far each log was read, and the hashes that every later root must grow from. */
export class FollowStore {
  readonly #get;
  readonly #insert;
  readonly #update;
  readonly #setBaseline;
  readonly #baseline;

  constructor(db: Database) {
    this.#get = db.prepare("SELECT id, size, hashes, root, baseline FROM follow WHERE log = ?");
    this.#insert = db.prepare(
      "INSERT INTO follow (log, realm, size, hashes, root) VALUES (?, ?, 0, ?, ?)",
    );
    this.#baseline = db.prepare("SELECT baseline FROM follow WHERE id = ?");
    this.#setBaseline = db.prepare("UPDATE follow SET baseline = ? WHERE id = ?");
    this.#update = db.prepare("UPDATE follow SET size = ?, hashes = ?, root = ? WHERE id = ?");
  }

  load(origin: string): Followed | undefined {
    const row = this.#get.get(origin);
    if (!row) return undefined;
    const hashes = bytesOf(row, "hashes");
    const parts = Array.from({ length: hashes.length / HASH_BYTES }, (_, i) =>
      hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
    );
    const range = CompactRange.from(integerOf(row, "size"), parts);
    const baseline = row["baseline"] === null ? undefined : integerOf(row, "baseline");
    return { id: integerOf(row, "id"), range, root: bytesOf(row, "root"), baseline };
  }

  /** `realm`: of the log's writer; empty for the registry. */
  create(origin: string, realm: string): Followed {
    const range = CompactRange.empty();
    const { lastInsertRowid } = this.#insert.run(origin, realm, Buffer.alloc(0), range.root());
    return { id: Number(lastInsertRowid), range, root: range.root(), baseline: undefined };
  }

  /** The size of the log when it was first looked at. */
  baseline(id: number): number | undefined {
    const row = this.#baseline.get(id);
    return row && row["baseline"] !== null ? integerOf(row, "baseline") : undefined;
  }

  /** From now on, entries before this size count as logged before the first look. */
  raiseBaseline(origin: string, size: number): void {
    const { id, baseline = 0 } = this.load(origin) ?? {};
    if (id !== undefined && size > baseline) this.setBaseline(id, size);
  }

  setBaseline(id: number, size: number): void {
    this.#setBaseline.run(size, id);
  }

  save(id: number, range: CompactRange): void {
    this.#update.run(range.size, Buffer.concat(range.hashes()), range.root(), id);
  }
}
