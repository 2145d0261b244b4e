import { ServiceError, type Clock } from "@redoubt/base";
import { KeyError, type KeyErrorCode } from "@redoubt/keys";

/** These are about custody as a whole: none of them says that a key is lost, damaged or refused. */
const FAILURES: ReadonlySet<KeyErrorCode> = new Set([
  "ERR_KEY_BUSY",
  "ERR_KEY_DENIED",
  "ERR_KEY_CUSTODY",
  "ERR_KEY_MODULE",
  "ERR_KEY_LEASE",
]);
/**
 * The same for a signature, without `ERR_KEY_CUSTODY`: that may be about this one input, and no caller may stop the
 * others with an input that is too long.
 */
const SIGNING_FAILURES: ReadonlySet<KeyErrorCode> = new Set([
  "ERR_KEY_BUSY",
  "ERR_KEY_DENIED",
  "ERR_KEY_MODULE",
  "ERR_KEY_LEASE",
]);

/**
 * A list failed because the folder of sealed keys is not there. Keys that were opened before are in memory: they go on
 * signing, which proves nothing about the folder.
 */
const FOLDER_FAILURE: KeyErrorCode = "ERR_KEY_FILE";

const MIN_PAUSE_SECONDS = 1;
const MAX_PAUSE_SECONDS = 30;
/** Where custody does not say how long it wants to be left alone. */
const PAUSE_SECONDS = 5;
/**
 * A throttled KMS still signs now and then, one that is away does not. Only after this long does the signer say that it
 * is not ready.
 */
const AWAY_AFTER_MS = 3000;
/**
 * A list that succeeds proves little about signatures: for this long after one failed, it does not end the failure.
 * Later it does, because where nobody asks for a signature nothing else can.
 */
const SIGNING_FAILED_MS = 10_000;
/** Listing costs calls that are paid for; a signature tells as much. */
const IDLE_LOOK_MS = 60_000;

/** Whether an error is about custody, which says nothing about any key. */
export function isCustodyFailure(error: unknown): boolean {
  return error instanceof KeyError && FAILURES.has(error.code);
}

interface Failure {
  readonly error: KeyError;
  /** Nothing has succeeded since. */
  sinceMs: number;
  readonly pauseUntilMs: number;
  /** When a signature failed last. */
  readonly signingFailedMs: number;
}

/** Whether custody can be used, judged by the outcomes of the calls to it. */
export class CustodyHealth {
  readonly #clock: Pick<Clock, "monotonic">;
  #last: Failure | undefined;
  #failures = 0;
  #workedMs = -Infinity;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** How often custody failed so far. To be read before a call, and passed to `signed` or `answered` after it. */
  get failures(): number {
    return this.#failures;
  }

  /** @throws ServiceError with the code of custody's KeyError, while custody asks to be left alone */
  check(): void {
    const failure = this.#last;
    const leftMs = failure ? failure.pauseUntilMs - this.#now() : 0;
    if (!failure || leftMs <= 0 || failure.error.code === FOLDER_FAILURE) return;
    throw new ServiceError(failure.error.code, "Custody does not sign now", {
      cause: failure.error,
      fields: { retryAfterSeconds: Math.ceil(leftMs / 1000) },
    });
  }

  /** Why custody cannot be used, once that is more than a moment. */
  get failure(): KeyError | undefined {
    const failure = this.#last;
    if (!failure) return undefined;
    const isMoment =
      failure.error.code === "ERR_KEY_BUSY" && this.#now() - failure.sinceMs < AWAY_AFTER_MS;
    return isMoment ? undefined : failure.error;
  }

  /** Whether somebody must ask custody how it is, since nothing else did. */
  get isLookDue(): boolean {
    const now = this.#now();
    return this.#last ? now >= this.#last.pauseUntilMs : now - this.#workedMs >= IDLE_LOOK_MS;
  }

  /** A signature succeeded. If the call began before the last failure, custody is there, but its pause is not over. */
  signed(failuresBefore: number): void {
    this.#workedMs = this.#now();
    if (!this.#last || this.#last.error.code === FOLDER_FAILURE) return;
    if (failuresBefore === this.#failures) this.#last = undefined;
    else this.#last.sinceMs = this.#workedMs;
  }

  /** Another call than a signature succeeded. */
  answered(failuresBefore: number): void {
    if (this.#last?.error.code === FOLDER_FAILURE) this.#last = undefined;
    const failedMs = this.#last?.signingFailedMs ?? -Infinity;
    if (this.#now() - failedMs >= SIGNING_FAILED_MS) this.signed(failuresBefore);
  }

  notSigned(error: unknown): void {
    if (error instanceof KeyError && SIGNING_FAILURES.has(error.code))
      this.#failed(error, this.#now());
  }

  notAnswered(error: unknown): void {
    if (error instanceof KeyError && (FAILURES.has(error.code) || error.code === FOLDER_FAILURE))
      this.#failed(error, this.#last?.signingFailedMs ?? -Infinity);
  }

  #failed(error: KeyError, signingFailedMs: number): void {
    this.#failures += 1;
    const now = this.#now();
    const { retryAfterSeconds = PAUSE_SECONDS } = error;
    const pause = Math.min(MAX_PAUSE_SECONDS, Math.max(MIN_PAUSE_SECONDS, retryAfterSeconds));
    this.#last = {
      error,
      sinceMs: this.#last?.sinceMs ?? now,
      pauseUntilMs: now + pause * 1000,
      signingFailedMs,
    };
  }

  #now(): number {
    return this.#clock.monotonic();
  }
}
