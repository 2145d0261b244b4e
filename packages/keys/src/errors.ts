/** Why a key, a record, a statement or a sealed file was refused; stable. */
export type KeyErrorCode =
  | "ERR_KEY_ALG"
  | "ERR_KEY_FILE"
  | "ERR_KEY_PASSPHRASE"
  | "ERR_KEY_UNKNOWN"
  | "ERR_KEY_RECORD"
  | "ERR_KEY_SIGNATURE"
  | "ERR_KEY_TRANSITION"
  | "ERR_ROTATION_POLICY"
  /** Custody asks to be left alone for a while, or does not answer; the same call may succeed later. */
  | "ERR_KEY_BUSY"
  /** Custody does not let this identity do it. */
  | "ERR_KEY_DENIED"
  /** Whoever asks has no lease that custody takes, or none any more. */
  | "ERR_KEY_LEASE"
  /** The key is there and may not be used now. */
  | "ERR_KEY_DISABLED"
  /** The code that reaches custody, such as an HSM's module, is not there or may not be loaded. */
  | "ERR_KEY_MODULE"
  /** Custody holds a key that it must not hold: one that is readable, from outside, ambiguous, or no pair. */
  | "ERR_KEY_REFUSED"
  /** Custody cannot be used as it is set up, or answered something that it must not. */
  | "ERR_KEY_CUSTODY"
  /** These and the next: a root, or a chain of them, is not what docs/spec/trust-data.md asks for. */
  | "ERR_ROOT_FORM"
  | "ERR_ROOT_MEMBER"
  | "ERR_ROOT_SIGNATURE"
  | "ERR_ROOT_THRESHOLD"
  | "ERR_ROOT_VERSION"
  /** Two documents where there must be one. */
  | "ERR_ROOT_FORK"
  | "ERR_ROOT_KIND"
  | "ERR_ROOT_EXPIRED"
  | "ERR_ROOT_PIN"
  | "ERR_STATEMENT_MALFORMED"
  | "ERR_STATEMENT_DIGEST"
  | "ERR_STATEMENT_AUTHOR"
  | "ERR_STATEMENT_CONFLICT"
  /** What a client proves itself with is malformed, or is not what its statement names. */
  | "ERR_CLIENT_CREDENTIALS";

export class KeyError extends Error {
  override readonly name = "KeyError";
  readonly code: KeyErrorCode;
  /** With `ERR_KEY_BUSY`: when it is worth asking again. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: KeyErrorCode,
    message: string,
    options: ErrorOptions & { readonly retryAfterSeconds?: number } = {},
  ) {
    const { retryAfterSeconds, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
