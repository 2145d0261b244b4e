import { setTimeout as delay } from "node:timers/promises";
import { systemClock, type Clock } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";

/** What may be asked of the service at once, and how long a caller is kept waiting. */
export interface CallLimits {
  /** Calls under way at once. */
  readonly maxConcurrent: number;
  /** Calls that may stand behind them; the next one is refused at once. */
  readonly maxWaiting: number;
  /** Times that one call is tried. */
  readonly maxAttempts: number;
  /** One attempt. */
  readonly attemptTimeoutMs: number;
  /** One call with everything: its turn, its attempts and the pauses between them. */
  readonly callTimeoutMs: number;
}

export const DEFAULT_LIMITS: CallLimits = {
  maxConcurrent: 32,
  maxWaiting: 512,
  maxAttempts: 4,
  attemptTimeoutMs: 5_000,
  callTimeoutMs: 15_000,
};

/** Where time and chance come from; injected, so that tests own them. */
export interface GateParts {
  readonly clock: Pick<Clock, "monotonic">;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Rejects when the signal is aborted. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export const systemParts: GateParts = {
  clock: systemClock,
  random: Math.random,
  wait: async (milliseconds, signal) => delay(milliseconds, undefined, { signal }),
};

/** What a failed attempt means. */
export type Verdict =
  | { readonly kind: "final"; readonly error: KeyError }
  | {
      readonly kind: "again";
      readonly cause: unknown;
      /** The service did nothing; false where nobody knows. */
      readonly refused: boolean;
      /** What the service asked for. */
      readonly afterMs?: number;
      /** What it comes to when the attempts are used up; back-pressure where it is not given. */
      readonly error?: KeyError;
    };

/** `if-refused`: a call that must not happen twice is repeated only if it did not happen. */
export type Repeat = "always" | "if-refused";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 4_000;

/**
 * Bounds what one custodian asks of its service: concurrency, queue, attempts and time (P12). A throttled caller
 * keeps its place while it pauses, so that throttling slows everybody down instead of piling calls up.
 */
export class CallGate {
  readonly #limits: CallLimits;
  readonly #parts: GateParts;
  readonly #judge: (error: unknown) => Verdict;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<AbortController>();
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(limits: CallLimits, parts: GateParts, judge: (error: unknown) => Verdict) {
    this.#limits = limits;
    this.#parts = parts;
    this.#judge = judge;
  }

  /** @throws KeyError `ERR_KEY_BUSY` with `retryAfterSeconds`, or what the failure was judged to be */
  async run<T>(repeat: Repeat, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = this.#parts.clock.monotonic() + this.#limits.callTimeoutMs;
    await this.#enter();
    try {
      return await this.#attempts(repeat, deadline, call);
    } finally {
      this.#leave();
    }
  }

  /** Ends what is under way and refuses what comes. */
  close(): void {
    this.#closing.abort();
    for (const attempt of this.#underWay) attempt.abort(new AttemptTimeout("Custody is closed"));
    for (const wake of this.#queue.splice(0)) {
      this.#running++;
      wake();
    }
  }

  async #enter(): Promise<void> {
    this.#checkOpen();
    if (this.#running < this.#limits.maxConcurrent) {
      this.#running++;
      return;
    }
    if (this.#queue.length >= this.#limits.maxWaiting)
      throw busy("Too many calls wait for custody", LONGEST_PAUSE_MS);
    await new Promise<void>((wake) => {
      this.#queue.push(wake);
    });
  }

  // The place passes on as it is: freed first, a caller that just came could take it besides the one that waits.
  #leave(): void {
    const wake = this.#queue.shift();
    if (wake) wake();
    else this.#running--;
  }

  async #attempts<T>(
    repeat: Repeat,
    deadline: number,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      this.#checkOpen();
      if (this.#parts.clock.monotonic() >= deadline)
        throw busy("Custody did not get to a call in time", LONGEST_PAUSE_MS);
      try {
        return await this.#attempt(call);
      } catch (error) {
        await this.#pause(repeat, deadline, attempt, error);
      }
    }
  }

  /** Waits until the next attempt is due, or throws what the failure comes to. */
  async #pause(repeat: Repeat, deadline: number, attempt: number, failure: unknown): Promise<void> {
    this.#checkOpen();
    const verdict = this.#judge(failure);
    if (verdict.kind === "final") throw verdict.error;
    const pauseMs = Math.max(verdict.afterMs ?? 0, this.#backoff(attempt));
    const isLast =
      attempt >= this.#limits.maxAttempts ||
      this.#parts.clock.monotonic() + pauseMs >= deadline ||
      (repeat === "if-refused" && !verdict.refused);
    if (isLast)
      throw verdict.error ?? busy("Custody is throttled or unreachable", pauseMs, verdict.cause);
    await this.#parts.wait(pauseMs, this.#closing.signal).catch(() => this.#checkOpen());
  }

  /** Full jitter: callers that were refused together do not come back together. */
  #backoff(attempt: number): number {
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
    return Math.ceil(ceiling * this.#parts.random());
  }

  // Not left to the SDK: an attempt ends on time whether or not its signal is heeded.
  async #attempt<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const attempt = new AbortController();
    const { signal } = attempt;
    const ended = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => ended.reject(signal.reason), { once: true });
    const timeout = new AttemptTimeout("No answer in time");
    const timer = setTimeout(() => attempt.abort(timeout), this.#limits.attemptTimeoutMs);
    this.#underWay.add(attempt);
    try {
      return await Promise.race([call(signal), ended.promise]);
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(attempt);
    }
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new KeyError("ERR_KEY_UNKNOWN", "Custody is closed");
  }
}

/** There was no answer; whether the service did what it was asked is unknown. */
export class AttemptTimeout extends Error {}

export function busy(message: string, afterMs: number, cause?: unknown): KeyError {
  const retryAfterSeconds = Math.max(1, Math.ceil(afterMs / 1000));
  const options = cause === undefined ? { retryAfterSeconds } : { cause, retryAfterSeconds };
  return new KeyError("ERR_KEY_BUSY", message, options);
}
