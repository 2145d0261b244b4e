import { KeyError } from "@redoubt/keys";
import type { Clock, EventSink } from "@redoubt/base";
import { custodyError } from "./errors.ts";
import { causeOf, failureKind, RequestFailure, type FailureKind } from "./failures.ts";
import type { AwsKmsLimits } from "./options.ts";

export interface CallsOptions {
  readonly limits: AwsKmsLimits;
  readonly clock: Pick<Clock, "monotonic">;
  readonly random: () => number;
  readonly pause: (ms: number, signal: AbortSignal) => Promise<unknown>;
  readonly log: EventSink;
}

export interface Call {
  readonly operation: string;
  readonly request: (signal: AbortSignal) => Promise<unknown>;
  /** Further failures after which the same request is tried again. */
  readonly retry?: readonly FailureKind[];
  /** Failures after which it is not, although another call would be. */
  readonly never?: readonly FailureKind[];
  /** Failures that say that it was done before. */
  readonly done?: readonly FailureKind[];
}

interface Waiting {
  readonly go: () => void;
  readonly failed: (error: Error) => void;
}

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;
const RETRIED: readonly FailureKind[] = ["throttled", "transient"];

/**
 * The one way to KMS: so many requests at a time, so many that wait, so many tries, so much time. THREAT-26: a KMS
 * that throttles, stalls or drops costs its callers a coded refusal with a time to come back, never a queue that grows.
 */
export class Calls {
  readonly #options: CallsOptions;
  readonly #waiting: Waiting[] = [];
  readonly #closing = new AbortController();
  #running = 0;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  close(): void {
    this.#closing.abort();
    for (const { failed } of this.#waiting.splice(0)) failed(closedError());
  }

  /** @throws KeyError as `publicError` maps them */
  async run(call: Call): Promise<unknown> {
    const sinceMs = this.#options.clock.monotonic();
    await this.#enter();
    try {
      return await this.#attempts(call, sinceMs);
    } finally {
      this.#leave();
    }
  }

  async #enter(): Promise<void> {
    const { maxConcurrent, maxWaiting } = this.#options.limits;
    if (this.#closing.signal.aborted) throw closedError();
    if (this.#running < maxConcurrent) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= maxWaiting)
      throw custodyError("ERR_KEY_BUSY", "Too many calls wait for AWS KMS");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ go: resolve, failed: reject });
    await promise;
  }

  /** The place goes to who waits longest. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next.go();
    else this.#running -= 1;
  }

  async #attempts(call: Call, sinceMs: number): Promise<unknown> {
    const { limits, clock, pause, log } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      if (this.#closing.signal.aborted) throw closedError();
      const leftMs = limits.callTimeoutMs - (clock.monotonic() - sinceMs);
      if (leftMs <= 0) throw custodyError("ERR_KEY_BUSY", "Call waited too long for AWS KMS");
      try {
        return await this.#attempt(call, Math.min(leftMs, limits.attemptTimeoutMs));
      } catch (error) {
        const kind = failureKind(error);
        if (this.#closing.signal.aborted) throw closedError();
        if (call.done?.includes(kind)) return undefined;
        const pauseMs = this.#pauseMs(attempt);
        const isLate = clock.monotonic() - sinceMs + pauseMs >= limits.callTimeoutMs;
        if (!isRetried(call, kind) || attempt >= limits.maxAttempts || isLate)
          throw publicError(call.operation, kind, error);
        log("kms_retry", { operation: call.operation, kind, attempt });
        await this.#pause(pause, pauseMs);
      }
    }
  }

  /** The whole try, credentials included: a provider of them may hang as well as KMS. */
  async #attempt({ request }: Call, ms: number): Promise<unknown> {
    const ended = Promise.withResolvers<never>();
    const controller = new AbortController();
    const stop = (message: string) => {
      ended.reject(new RequestFailure("transient", message));
      controller.abort();
    };
    const timer = setTimeout(() => stop("AWS KMS did not answer in time"), ms);
    const close = () => stop("Custody was closed");
    this.#closing.signal.addEventListener("abort", close, { once: true });
    try {
      return await Promise.race([request(controller.signal), ended.promise]);
    } finally {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener("abort", close);
    }
  }

  /** Full jitter: callers that were throttled together must not come back together. */
  #pauseMs(attempt: number): number {
    const most = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
    return Math.ceil(most * this.#options.random());
  }

  async #pause(pause: CallsOptions["pause"], ms: number): Promise<void> {
    try {
      await pause(ms, this.#closing.signal);
    } catch (cause) {
      if (this.#closing.signal.aborted) throw closedError();
      throw cause;
    }
  }
}

function isRetried({ retry = [], never = [] }: Call, kind: FailureKind): boolean {
  return !never.includes(kind) && (RETRIED.includes(kind) || retry.includes(kind));
}

export function closedError(): KeyError {
  return new KeyError("ERR_KEY_UNKNOWN", "Key is destroyed or its custody is closed");
}

function publicError(operation: string, kind: FailureKind, error: unknown): KeyError {
  const cause = causeOf(error);
  switch (kind) {
    case "throttled":
      return custodyError("ERR_KEY_BUSY", `AWS KMS throttles ${operation}`, cause);
    case "transient":
      return custodyError("ERR_KEY_BUSY", `AWS KMS failed at ${operation}`, cause);
    case "not-found":
      return custodyError("ERR_KEY_UNKNOWN", "Custody holds no key with this id", cause);
    case "disabled":
      return custodyError("ERR_KEY_DISABLED", "Key is disabled in AWS KMS", cause);
    case "invalid-state":
      // Of the states of a key like ours, only this one has an error of its own (Developer Guide, key states).
      return custodyError("ERR_KEY_UNKNOWN", "Key is being deleted in AWS KMS", cause);
    case "denied":
      return custodyError("ERR_KEY_DENIED", `AWS KMS denies ${operation}`, cause);
    case "full":
      return custodyError("ERR_KEY_CUSTODY", `AWS KMS has no room for ${operation}`, cause);
    case "exists":
    case "refused":
    case "unsupported":
      return custodyError("ERR_KEY_CUSTODY", `AWS KMS refuses ${operation}`, cause);
    case "answer":
      return custodyError("ERR_KEY_CUSTODY", `AWS KMS answers ${operation} wrongly`, cause);
  }
}
