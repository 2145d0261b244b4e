import type { RegistryItem } from "@redoubt/registry";
import { bytesOf, integerOf, type Database } from "../store/database.ts";

export interface CopiedStatement {
  readonly statement: Buffer;
  readonly envelope: Buffer;
}

/**
 * Every statement of the registry, as it was read and proven. The registry has no successor, and the ledger keeps the
 * only other copy of its bodies: what it loses is restored from here, and is right if it hashes to the cosigned root.
 */
export class RegistryCopy {
  readonly #put;
  readonly #page;
  readonly #size;

  constructor(db: Database) {
    this.#put = db.prepare("INSERT OR REPLACE INTO registry VALUES (?, ?, ?)");
    this.#size = db.prepare("SELECT count(*) AS size FROM registry");
    this.#page = db.prepare(
      "SELECT statement, envelope FROM registry WHERE idx >= ? ORDER BY idx LIMIT ?",
    );
  }

  /** Of the copy, which begins at the first. */
  get size(): number {
    return integerOf(this.#size.get() ?? {}, "size");
  }

  put({ index, statement, envelope }: RegistryItem): void {
    if (statement && envelope) this.#put.run(index, statement, envelope);
  }

  /**
   * In order from `from`. An entry that was never read is left out: whoever computes the root then finds another one.
   */
  page(from: number, max: number): CopiedStatement[] {
    return this.#page
      .all(from, max)
      .map((row) => ({ statement: bytesOf(row, "statement"), envelope: bytesOf(row, "envelope") }));
  }
}
