import { nowSeconds, type Clock } from "@redoubt/base";
import { integerOf, type Database } from "../store/database.ts";

/** Each time costs a write to the disk; what a crash loses of it only keeps rows longer. */
const SAVE_SECONDS = 60;

/**
 * Seconds during which this monitor was running, over all its runs. While it was not, nobody could report anything
 * to it, and a wall clock that is set forward must not make it forget (THREAT-29). It begins at the time of the
 * first run.
 */
export class RunningTime {
  readonly #active: () => number;
  readonly #put;
  readonly #base: number;
  #saved: number;

  constructor(db: Database, clock: Pick<Clock, "now">, active: () => number) {
    this.#active = active;
    this.#put = db.prepare(
      `INSERT INTO counters VALUES ('running', ?)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    );
    const row = db.prepare("SELECT value FROM counters WHERE name = 'running'").get();
    this.#base = row ? integerOf(row, "value") : nowSeconds(clock);
    this.#saved = this.#base;
    if (!row) this.#put.run(this.#base);
  }

  get seconds(): number {
    return this.#base + Math.floor(this.#active() / 1000);
  }

  save(): void {
    if (this.seconds - this.#saved < SAVE_SECONDS) return;
    this.#saved = this.seconds;
    this.#put.run(this.#saved);
  }
}
