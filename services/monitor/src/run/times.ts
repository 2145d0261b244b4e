import { nowSeconds, type Clock } from "@redoubt/base";
import { integerOf, type Database } from "../store/database.ts";

const MAX_STEP_MS = 2000;

/**
 * Milliseconds during which this process was running and looking. After a pause (suspended machine, blocked loop)
 * what others sent meanwhile is still unread: a deadline that counted the pause would raise false alarms.
 */
export class ActiveTime {
  readonly #clock: Pick<Clock, "monotonic">;
  #last: number;
  #now = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
    this.#last = Math.floor(clock.monotonic());
  }

  get now(): number {
    return this.#now;
  }

  /** Called once at the start of each tick. */
  advance(): number {
    // Whole milliseconds: deadlines are kept in integer columns.
    const at = Math.floor(this.#clock.monotonic());
    this.#now += Math.min(Math.max(at - this.#last, 0), MAX_STEP_MS);
    this.#last = at;
    return this.#now;
  }
}

/**
 * Each saving costs a write to the disk. A crash loses at most so much of the time, and then rows are only kept
 * longer.
 */
const SAVE_SECONDS = 60;

/**
 * Seconds during which this monitor was running, over all its runs. The age of what is kept is measured by it. While
 * the monitor was not running nobody could report anything to it, and a wall clock that is set forward must not make
 * it forget (THREAT-29). It begins at the wall clock's time of the first run.
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
