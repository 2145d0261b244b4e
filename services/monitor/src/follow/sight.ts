import type { Clock } from "@redoubt/base";

/** What one reading of all logs came to. */
export interface Reading {
  /** Every log that can be judged was read to its end. */
  readonly isCurrent: boolean;
  /** Logs of which nothing is believed any more. */
  readonly distrusted: readonly string[];
  readonly read: number;
  /** Entries that the ledger says there are. */
  readonly size: number;
}

const BLIND_SECONDS = 30;

/**
 * P4: whether the monitor sees what the logs hold, and since when it does not. Nothing can be held against a log that
 * it does not read or does not believe, and those who rely on the audit have to know that.
 */
export class Sight {
  readonly #clock: Pick<Clock, "monotonic">;
  #clearMs: number;
  #last: Reading | undefined;
  #hasSeenAll = false;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
    this.#clearMs = clock.monotonic();
  }

  looked(reading: Reading): void {
    this.#last = reading;
    if (!reading.isCurrent || reading.distrusted.length > 0) return;
    this.#hasSeenAll = true;
    this.#clearMs = this.#clock.monotonic();
  }

  /**
   * Since every log was read to its end and believed, or since the start. Time in which this process was stopped
   * counts: nothing was audited in it.
   */
  get ageSeconds(): number {
    return Math.max(0, Math.floor((this.#clock.monotonic() - this.#clearMs) / 1000));
  }

  /** Why the audit cannot be relied on now; undefined where it can. */
  get failure(): string | undefined {
    if (this.#hasSeenAll && this.ageSeconds < BLIND_SECONDS) return undefined;
    const { distrusted = [], isCurrent = true, read = 0, size = 0 } = this.#last ?? {};
    const since = `not audited for ${this.ageSeconds} s`;
    if (distrusted.length > 0) return `${since}: nothing is believed of ${distrusted.join(", ")}`;
    if (read < size) return `${since}: ${read} of ${size} entries are read`;
    return isCurrent ? since : `${since}: ledger cannot be read`;
  }
}
