/** Why a statement, an assertion, an envelope or an approval was refused; stable. */
export type PresenceErrorCode =
  | "ERR_PRESENCE_STATEMENT"
  /** What was shown is not what this renderer makes of the statement. */
  | "ERR_PRESENCE_TEXT"
  | "ERR_PRESENCE_KEY"
  /** What the authenticator or the browser said is malformed, or is about something else; `part` says what. */
  | "ERR_PRESENCE_ASSERTION"
  | "ERR_PRESENCE_SIGNATURE"
  | "ERR_PRESENCE_ENVELOPE"
  /** The statement was made for something else than what is to be done: an action, a relying party, an origin. */
  | "ERR_PRESENCE_ACTION"
  /** Too early, too late or too old. */
  | "ERR_PRESENCE_TIME"
  /** The credential is not enrolled in the statement's realm, or was not at that time. */
  | "ERR_PRESENCE_ENROLMENT"
  /** The credential's class is too low, or its flags contradict it. */
  | "ERR_PRESENCE_TIER"
  /** Too few persons, or one who may not approve this. */
  | "ERR_PRESENCE_APPROVERS"
  /** The approval was used before. */
  | "ERR_PRESENCE_USED";

/** No message holds a challenge, a signature or a part of what somebody sent. */
export class PresenceError extends Error {
  override readonly name = "PresenceError";
  readonly code: PresenceErrorCode;
  /** Which member or flag. */
  readonly part: string | undefined;

  constructor(
    code: PresenceErrorCode,
    message: string,
    options: ErrorOptions & { readonly part?: string } = {},
  ) {
    const { part, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.part = part;
  }
}

/** Makes one error of whatever `read` refuses in somebody's bytes; a `PresenceError` passes as it is. */
export function refuseAs<T>(code: PresenceErrorCode, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof Error) || cause instanceof PresenceError) throw cause;
    throw new PresenceError(code, `${what} is malformed`, { cause });
  }
}
