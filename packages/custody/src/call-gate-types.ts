import type { Clock } from "@redoubt/base";
import type { KeyError } from "@redoubt/keys";

/** How many calls a custodian may have at its service, and how long they may take. */
export interface CallLimits {
  /** Calls under way at once. */
  readonly maxConcurrent: number;
  /** Calls that may wait for their turn; one more is refused at once. */
  readonly maxWaiting: number;
  /** Times that one call is tried, the first included. */
  readonly maxAttempts: number;
  /** One attempt, from connecting to the last byte. */
  readonly attemptTimeoutMs: number;
  /** One call with everything: its turn, its attempts and the pauses between them. */
  readonly callTimeoutMs: number;
}

/** How a gate keeps time beyond what an operator may set. */
export interface Pacing {
  /** The longest pause between two attempts; also how long a caller that got no turn is told to wait. */
  readonly longestPauseMs: number;
  /** Whether an attempt ends when its call's time does. Otherwise one that began in time has all of `attemptTimeoutMs`. */
  readonly isLastAttemptCut: boolean;
}

/** Where time and chance come from; injected, so that tests own them. */
export interface GateParts {
  readonly clock: Pick<Clock, "monotonic">;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Resolves after the time; rejects when the signal is aborted. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<unknown>;
}

/** What a failed attempt means. */
export type Verdict =
  | { readonly kind: "final"; readonly error: KeyError }
  | {
      readonly kind: "again";
      readonly cause: unknown;
      /** Whether it is certain that the service did nothing. */
      readonly refused: boolean;
      /** The pause that the service asked for. */
      readonly afterMs?: number;
      /** What the caller gets when the attempts are used up; `ERR_KEY_BUSY` where it is not given. */
      readonly error?: KeyError;
    };

/** `if-refused`: a call that must not be done twice, such as making a key, is repeated only where it was not done. */
export type Repeat = "always" | "if-refused";

export interface GateCall<T> {
  readonly repeat: Repeat;
  /** One attempt; it must leave no trace in this process when its signal is aborted. */
  readonly request: (signal: AbortSignal) => Promise<T>;
  /** The adapter's: whether what `request` threw, or an `AttemptTimeout`, is worth another attempt. */
  readonly judge: (failure: unknown) => Verdict;
  /** Told before each pause that another attempt follows. */
  readonly onRepeat?: (failure: unknown, attempt: number) => void;
}
