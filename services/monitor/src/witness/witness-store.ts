import { EMPTY_ROOT } from "@redoubt/tlog";
import { bytesOf, integerOf, textOf, type Database } from "../store/database.ts";
import type { TreeHead } from "@redoubt/tlog";

/** The newest checkpoint that was cosigned for a log. */
export interface Held extends TreeHead {
  /** With the signatures of log and writer and our cosignature, and no others. Empty before the first. */
  readonly note: string;
}

const NOTHING_HELD: Held = { size: 0, root: EMPTY_ROOT, note: "" };

export class WitnessStore {
  readonly #db: Database;
  readonly #get;
  readonly #put;
  readonly #halted;
  readonly #halt;
  readonly #halts;
  readonly #close;
  readonly #resume;
  readonly #origins;

  constructor(db: Database) {
    this.#db = db;
    this.#get = db.prepare("SELECT size, root, note FROM witness WHERE log = ?");
    this.#put = db.prepare(
      `INSERT INTO witness VALUES (?, ?, ?, ?) ON CONFLICT (log) DO UPDATE
       SET size = excluded.size, root = excluded.root, note = excluded.note`,
    );
    this.#origins = db.prepare("SELECT log FROM witness");
    this.#halted = db.prepare("SELECT at, reason FROM halts WHERE log = ?");
    this.#halt = db.prepare("INSERT OR IGNORE INTO halts VALUES (?, ?, ?)");
    this.#close = db.prepare("INSERT OR REPLACE INTO halts VALUES (?, ?, 'closed')");
    this.#resume = db.prepare("DELETE FROM halts WHERE log = ?");
    this.#halts = db.prepare("SELECT log, reason FROM halts ORDER BY log");
  }

  /** C2SP tlog-witness: checking against what is held and persisting the next must be one step. */
  transaction<T>(work: () => T): T {
    return this.#db.transaction(work);
  }

  held(origin: string): Held {
    const row = this.#get.get(origin);
    if (!row) return NOTHING_HELD;
    return { size: integerOf(row, "size"), root: bytesOf(row, "root"), note: textOf(row, "note") };
  }

  /** Logs of which a checkpoint was cosigned. */
  origins(): string[] {
    return this.#origins.all().map((row) => textOf(row, "log"));
  }

  put(origin: string, { size, root, note }: Held): void {
    this.#put.run(origin, size, root, note);
  }

  isHalted(origin: string): boolean {
    return this.#halted.get(origin) !== undefined;
  }

  haltOf(origin: string): { readonly at: number; readonly reason: string } | undefined {
    const row = this.#halted.get(origin);
    return row && { at: integerOf(row, "at"), reason: textOf(row, "reason") };
  }

  /** The operator closed the log for good: this takes the place of any other halt. */
  close(origin: string, atSeconds: number): void {
    this.#close.run(origin, atSeconds);
  }

  resume(origin: string): void {
    this.#resume.run(origin);
  }

  halt(origin: string, atSeconds: number, reason: string): void {
    this.#halt.run(origin, atSeconds, reason);
  }

  halts(): { origin: string; reason: string }[] {
    return this.#halts
      .all()
      .map((row) => ({ origin: textOf(row, "log"), reason: textOf(row, "reason") }));
  }
}
