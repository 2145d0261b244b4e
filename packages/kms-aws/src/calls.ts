import type { Clock, EventSink } from "@redoubt/base";
import type { KeyError } from "@redoubt/keys";
import {
  AttemptTimeout,
  CallGate,
  type Pacing,
  type Repeat,
  type Verdict,
} from "@redoubt/custody/call-gate";
import { custodyError } from "./errors.ts";
import { causeOf, failureKind, RequestFailure, type FailureKind } from "./failures.ts";
import type { AwsKmsLimits, KmsEvent } from "./options.ts";

export interface CallsOptions {
  readonly limits: AwsKmsLimits;
  readonly clock: Pick<Clock, "monotonic">;
  readonly random: () => number;
  readonly pause: (ms: number, signal: AbortSignal) => Promise<unknown>;
  readonly sink: EventSink<KmsEvent>;
}

export interface Call {
  readonly operation: string;
  readonly request: (signal: AbortSignal) => Promise<unknown>;
  /** Default: `always`. */
  readonly repeat?: Repeat;
  /** Further failures after which the same request is tried again. */
  readonly retry?: readonly FailureKind[];
  /** Failures that say that it was done before. */
  readonly done?: readonly FailureKind[];
}

const PACING: Pacing = { longestPauseMs: 1000, isLastAttemptCut: true };
const RETRIED: readonly FailureKind[] = ["throttled", "transient"];

/** The one way to KMS: what a failure of KMS means, behind a gate that bounds the rest. */
export class Calls {
  readonly #gate: CallGate;
  readonly #sink: EventSink<KmsEvent>;

  constructor({ limits, clock, random, pause, sink }: CallsOptions) {
    this.#gate = new CallGate(limits, { clock, random, wait: pause }, PACING);
    this.#sink = sink;
  }

  close(): void {
    this.#gate.close();
  }

  /** @throws KeyError as `publicError` maps them */
  async run(call: Call): Promise<unknown> {
    const { operation, repeat = "always" } = call;
    return this.#gate.run({
      repeat,
      request: async (signal) => requestOnce(call, signal),
      judge: (error) => judgeFailure(call, failureOf(error)),
      onRepeat: (error, attempt) =>
        this.#sink("kms_retry", { operation, kind: failureKind(failureOf(error)), attempt }),
    });
  }
}

async function requestOnce({ request, done = [] }: Call, signal: AbortSignal): Promise<unknown> {
  try {
    return await request(signal);
  } catch (error) {
    if (done.includes(failureKind(error))) return undefined;
    throw error;
  }
}

/** The whole attempt has a time, credentials included: a provider of them may hang as well as KMS. */
function failureOf(error: unknown): unknown {
  return error instanceof AttemptTimeout
    ? new RequestFailure("transient", "AWS KMS did not answer in time")
    : error;
}

function judgeFailure({ operation, retry = [] }: Call, failure: unknown): Verdict {
  const kind = failureKind(failure);
  const error = publicError(operation, kind, failure);
  if (!RETRIED.includes(kind) && !retry.includes(kind)) return { kind: "final", error };
  return { kind: "again", cause: failure, refused: kind !== "transient", error };
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
