import type { MonitorParts } from "./parts.ts";

/**
 * One round of everything that has a deadline. The order matters: first what came in is collected, then the logs are
 * read. So all that was logged before it came in is known when it is judged.
 */
export class Cycle {
  readonly #parts: MonitorParts;
  readonly #pace = new ReadingPace();
  #background: Promise<unknown> | undefined;

  constructor(parts: MonitorParts) {
    this.#parts = parts;
  }

  /** @throws when the database cannot keep what others were promised: the process must be restarted */
  async tick(): Promise<void> {
    const { active, misses, deliveries, watches, alarms } = this.#parts;
    active.advance();
    const undecided = misses.undecided();
    const waiting = deliveries.collect();
    try {
      const isCurrent = await this.#readLogs(waiting.length + undecided.length > 0);
      if (isCurrent) misses.decide(undecided);
      this.#parts.db.transaction(() => deliveries.settle(waiting, isCurrent));
    } catch (error) {
      for (const { done } of waiting) done.reject(error);
      throw error;
    }
    for (const { done } of waiting) done.resolve();
    misses.expire();
    watches.check(active.now);
    alarms.flush();
    this.#startBackground();
  }

  /** False when they were not read: nothing may be concluded from what they do not hold. */
  async #readLogs(isAwaited: boolean): Promise<boolean> {
    const { active, follower, readLogs } = this.#parts;
    if (!this.#pace.isDue(active.now, isAwaited)) return false;
    const isCurrent = await readLogs();
    const size = [...follower.sizes.values()].reduce((sum, one) => sum + one, 0);
    this.#pace.wasRead(active.now, { isCurrent, size });
    return isCurrent;
  }

  /** Waits for polls and webhooks under way; they never fail. */
  async settled(): Promise<void> {
    await this.#background;
  }

  /** Polls and webhooks wait for other machines. They run beside the rounds, and hold up none. */
  #startBackground(): void {
    const { follower, jwks, webhook } = this.#parts;
    if (this.#background || !follower.isFolded) return;
    this.#background = Promise.allSettled([jwks.poll(), webhook?.send()]).finally(() => {
      this.#background = undefined;
    });
  }
}

/**
 * After something happened, the logs are read in each tick for so long. It is the time in which requests of an issuer
 * that went away may still be logged (`Gaps`), and they have to be read in that time.
 */
const LIVELY_MS = 5000;
/**
 * Every deadline of docs/spec/reports.md may come later by this. That is allowed: all of them end more than 10 s
 * before the promised minute (P4).
 */
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
