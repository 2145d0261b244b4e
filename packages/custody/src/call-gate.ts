import { setTimeout as delay } from "node:timers/promises";
import { systemClock, backOffMs } from "@redoubt/base";
import type {
  CallLimits,
  GateCall,
  GateParts,
  Pacing,
  Repeat,
  Verdict,
} from "./call-gate-types.ts";
import { KeyError } from "@redoubt/keys";

export type { CallLimits, GateCall, GateParts, Pacing, Repeat, Verdict };

export const DEFAULT_LIMITS: CallLimits = {
  maxConcurrent: 32,
  maxWaiting: 512,
  maxAttempts: 4,
  attemptTimeoutMs: 5_000,
  callTimeoutMs: 15_000,
};

const DEFAULT_PACING: Pacing = { longestPauseMs: 4_000, isLastAttemptCut: false };

export const systemParts: GateParts = {
  clock: systemClock,
  random: Math.random,
  wait: async (milliseconds, signal) => delay(milliseconds, undefined, { signal }),
};

const FIRST_PAUSE_MS = 100;

/**
 * Bounds what one custodian asks of its service: concurrency, queue, attempts and time (P12). THREAT-26: where a service
 * throttles, stalls or drops calls, callers get a coded refusal that says when to come back, and no queue grows without
 * end. A throttled caller keeps its place while it pauses, so that throttling slows everybody down instead of piling
 * calls up.
 */
export class CallGate {
  readonly #limits: CallLimits;
  readonly #parts: GateParts;
  readonly #pacing: Pacing;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<AbortController>();
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(limits: CallLimits, parts: GateParts, pacing: Pacing = DEFAULT_PACING) {
    this.#limits = limits;
    this.#parts = parts;
    this.#pacing = pacing;
  }

  /** @throws KeyError `ERR_KEY_BUSY` with `retryAfterSeconds`, or what the failure was judged to be */
  async run<T>(call: GateCall<T>): Promise<T> {
    const deadline = this.#parts.clock.monotonic() + this.#limits.callTimeoutMs;
    await this.#enter();
    try {
      return await this.#attempts(call, deadline);
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
      throw busy("Too many calls wait for custody", this.#pacing.longestPauseMs);
    await new Promise<void>((wake) => {
      this.#queue.push(wake);
    });
  }

  // The place goes to the next one without being freed: otherwise a caller that just came could take it, too.
  #leave(): void {
    const wake = this.#queue.shift();
    if (wake) wake();
    else this.#running--;
  }

  async #attempts<T>(call: GateCall<T>, deadline: number): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      this.#checkOpen();
      const leftMs = deadline - this.#parts.clock.monotonic();
      if (leftMs <= 0)
        throw busy("Custody did not get to a call in time", this.#pacing.longestPauseMs);
      try {
        return await this.#attempt(call, leftMs);
      } catch (error) {
        await this.#pause(call, deadline, attempt, error);
      }
    }
  }

  // Not left to the SDK: an attempt ends on time whether or not its signal is heeded.
  async #attempt<T>({ request }: GateCall<T>, leftMs: number): Promise<T> {
    const { attemptTimeoutMs } = this.#limits;
    const ms = this.#pacing.isLastAttemptCut
      ? Math.min(leftMs, attemptTimeoutMs)
      : attemptTimeoutMs;
    const attempt = new AbortController();
    const { signal } = attempt;
    const ended = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => ended.reject(signal.reason), { once: true });
    const timeout = new AttemptTimeout("No answer in time");
    const timer = setTimeout(() => attempt.abort(timeout), ms);
    this.#underWay.add(attempt);
    try {
      return await Promise.race([request(signal), ended.promise]);
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(attempt);
    }
  }

  /** Waits until the next attempt is due, or throws what the failure comes to. */
  async #pause<T>(
    { repeat, judge, onRepeat }: GateCall<T>,
    deadline: number,
    attempt: number,
    failure: unknown,
  ): Promise<void> {
    this.#checkOpen();
    const verdict = judge(failure);
    if (verdict.kind === "final") throw verdict.error;
    const pauseMs = Math.max(verdict.afterMs ?? 0, this.#backoff(attempt));
    const isLast =
      attempt >= this.#limits.maxAttempts ||
      this.#parts.clock.monotonic() + pauseMs >= deadline ||
      (repeat === "if-refused" && !verdict.refused);
    if (isLast)
      throw verdict.error ?? busy("Custody is throttled or unreachable", pauseMs, verdict.cause);
    onRepeat?.(failure, attempt);
    try {
      await this.#parts.wait(pauseMs, this.#closing.signal);
    } catch (cause) {
      this.#checkOpen();
      throw cause;
    }
  }

  /** Full jitter: callers that were refused together do not come back together. */
  #backoff(attempt: number): number {
    const { longestPauseMs: maxMs } = this.#pacing;
    const ceiling = backOffMs(attempt, { firstMs: FIRST_PAUSE_MS, maxMs });
    return Math.ceil(ceiling * this.#parts.random());
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new KeyError("ERR_KEY_UNKNOWN", "Custody is closed");
  }
}

/** There was no answer; whether the service did what it was asked is unknown. */
export class AttemptTimeout extends Error {}

function busy(message: string, afterMs: number, cause?: unknown): KeyError {
  const retryAfterSeconds = Math.max(1, Math.ceil(afterMs / 1000));
  const options = cause === undefined ? { retryAfterSeconds } : { cause, retryAfterSeconds };
  return new KeyError("ERR_KEY_BUSY", message, options);
}
