import type { Log } from "./log.ts";

interface Waiter {
  readonly log: Log;
  readonly size: number;
  readonly done: () => void;
}

/** Past this many the answer comes at once: the caller polls, and nothing here grows (P12). */
const MAX_WAITERS = 1024;

/** Callers that wait for a log to grow. */
export class Waiters implements Disposable {
  readonly #waiting = new Set<Waiter>();

  /** Resolves when the log is larger than `size`, or after `timeoutMs`. */
  wait(log: Log, size: number, timeoutMs: number): Promise<void> {
    if (log.size > size || this.#waiting.size >= MAX_WAITERS) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = {
        log,
        size,
        done: () => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          resolve();
        },
      };
      const timer = setTimeout(waiter.done, timeoutMs).unref();
      this.#waiting.add(waiter);
    });
  }

  advanced(log: Log): void {
    for (const waiter of this.#waiting)
      if (waiter.log === log && log.size > waiter.size) waiter.done();
  }

  [Symbol.dispose](): void {
    for (const { done } of this.#waiting) done();
  }
}
