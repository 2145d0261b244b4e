import type { Clock } from "@redoubt/base";

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
