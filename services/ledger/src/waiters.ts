import type { Log } from "./log.ts";

export interface Wait {
  readonly log: Log;
  /** What the caller has. */
  readonly size: number;
  readonly timeoutMs: number;
}

interface Waiter {
  readonly log: Log;
  readonly size: number;
  readonly done: () => void;
}

/**
 * How many waits one caller may have. Each caller has its own limit, so that none uses up another's (THREAT-36). Past
 * it the answer comes at once: that caller polls, and nothing here grows (P12).
 */
const MAX_WAITERS = 1024;

/** Callers that wait for a log to grow. */
export class Waiters implements Disposable {
  readonly #waiting = new Map<string, Set<Waiter>>();

  /** Resolves when the log is larger than `size`, or after `timeoutMs`. */
  wait(caller: string, { log, size, timeoutMs }: Wait): Promise<void> {
    const own = this.#of(caller);
    if (log.size > size || own.size >= MAX_WAITERS) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = {
        log,
        size,
        done: () => {
          clearTimeout(timer);
          own.delete(waiter);
          resolve();
        },
      };
      const timer = setTimeout(waiter.done, timeoutMs).unref();
      own.add(waiter);
    });
  }

  advanced(log: Log): void {
    for (const own of this.#waiting.values())
      for (const waiter of own) if (waiter.log === log && log.size > waiter.size) waiter.done();
  }

  /** Callers are configured, and few. */
  #of(caller: string): Set<Waiter> {
    const found = this.#waiting.get(caller);
    if (found) return found;
    const own = new Set<Waiter>();
    this.#waiting.set(caller, own);
    return own;
  }

  [Symbol.dispose](): void {
    for (const own of this.#waiting.values()) for (const { done } of own) done();
  }
}
