/** As long as requests of an issuer that went away may still be logged (Gaps): they are to be read in that time. */
const LIVELY_MS = 5000;
/** Adds to every time of docs/spec/reports.md, all of which end more than 10 s before the minute. */
const QUIET_INTERVAL_MS = 2000;

/** When the logs are read: in each tick while something happens, and less often where nothing does. */
export class ReadingPace {
  #livelyUntil = 0;
  #readAt = -Infinity;
  #size = -1;

  /** Active time. `isAwaited`: something came in that the logs have to be held against. */
  isDue(now: number, isAwaited: boolean): boolean {
    if (isAwaited) this.#livelyUntil = now + LIVELY_MS;
    return now < this.#livelyUntil || now - this.#readAt >= QUIET_INTERVAL_MS;
  }

  /** `size`: of all logs together. What cannot be read is tried again at once. */
  wasRead(now: number, { isCurrent, size }: { isCurrent: boolean; size: number }): void {
    if (!isCurrent || size !== this.#size) this.#livelyUntil = now + LIVELY_MS;
    this.#readAt = now;
    this.#size = size;
  }
}
