import type { Clock } from "@redoubt/base";
import type { KeyError } from "@redoubt/keys";

/** What may be asked of the service at once, and how long a caller is kept waiting. */
export interface CallLimits {
  /** Calls under way at once. */
  readonly maxConcurrent: number;
  /** Calls that may stand behind them; the next one is refused at once. */
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
  /** The most that a pause grows to, and what a caller is told to wait who got no turn. */
  readonly longestPauseMs: number;
  /** Whether an attempt ends with its call; otherwise one that began in time has all of its own time. */
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
      /** The service did nothing; false where nobody knows. */
      readonly refused: boolean;
      /** What the service asked for. */
      readonly afterMs?: number;
      /** What it comes to when the attempts are used up; back-pressure where it is not given. */
      readonly error?: KeyError;
    };

/** `if-refused`: a call that must not happen twice, as the making of a key, is repeated only if it did not happen. */
export type Repeat = "always" | "if-refused";

export interface GateCall<T> {
  readonly repeat: Repeat;
  /** One attempt; it must leave no trace in this process when its signal is aborted. */
  readonly request: (signal: AbortSignal) => Promise<T>;
  /** Each service's own: whether what was thrown, by `request` or as `AttemptTimeout`, is worth another attempt. */
  readonly judge: (failure: unknown) => Verdict;
  /** Told before each pause that another attempt follows. */
  readonly onRepeat?: (failure: unknown, attempt: number) => void;
}
