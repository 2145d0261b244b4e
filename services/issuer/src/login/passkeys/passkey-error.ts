/** Why a passkey, an answer of one, or metadata about models was refused. Stable: pages and the log switch on it. */
export type PasskeyErrorCode =
  /** Size, type or encoding of a part; nothing was verified. */
  | "ERR_PASSKEY_FORM"
  /** The answer is about another credential than it says, or than was asked. */
  | "ERR_PASSKEY_CREDENTIAL"
  /** It was of the person whose it says it is, and was deleted. */
  | "ERR_PASSKEY_DELETED"
  | "ERR_PASSKEY_TYPE"
  | "ERR_PASSKEY_CHALLENGE"
  | "ERR_PASSKEY_ORIGIN"
  /** Made in a frame of another site. */
  | "ERR_PASSKEY_CROSS_ORIGIN"
  | "ERR_PASSKEY_RP"
  | "ERR_PASSKEY_USER_PRESENCE"
  /** No PIN and no finger: the page says "set a PIN on your key". */
  | "ERR_PASSKEY_USER_VERIFICATION"
  /** Backed up without being eligible, or not as eligible as when it was registered. */
  | "ERR_PASSKEY_BACKUP"
  | "ERR_PASSKEY_ALGORITHM"
  /** A format of attestation that this release does not verify. */
  | "ERR_PASSKEY_FORMAT"
  /** The statement does not verify: signature, certificate, model. */
  | "ERR_PASSKEY_ATTESTATION"
  /** Roots are known for the model, and the certificates lead to none of them. */
  | "ERR_PASSKEY_CHAIN"
  | "ERR_PASSKEY_SIGNATURE"
  /** The key belongs to another person than it says. */
  | "ERR_PASSKEY_OWNER"
  /** A key bound to its device counted backwards: there may be a copy. */
  | "ERR_PASSKEY_COUNTER"
  /** Registered already, to this person or another. */
  | "ERR_PASSKEY_KNOWN"
  /** The person has as many as one may have. */
  | "ERR_PASSKEY_COUNT"
  | "ERR_PASSKEY_UNATTESTED"
  | "ERR_PASSKEY_SYNCED"
  /** The model is denied, or not among those allowed. */
  | "ERR_PASSKEY_MODEL"
  /** The metadata says that the model is revoked or broken. */
  | "ERR_PASSKEY_MODEL_STATUS"
  | "ERR_PASSKEY_METADATA_FORM"
  | "ERR_PASSKEY_METADATA_SIGNATURE"
  /** Older than what was read before. */
  | "ERR_PASSKEY_METADATA_ROLLBACK";

/**
 * A refusal. The message holds no challenge, key, identifier or input. Errors of the WebAuthn library quote them, so
 * they are never its cause.
 */
export class PasskeyError extends Error {
  override readonly name = "PasskeyError";
  readonly code: PasskeyErrorCode;

  constructor(code: PasskeyErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** What `read` gives. Whatever it throws that is not ours becomes one refusal without a cause. */
export function orRefuse<T>(code: PasskeyErrorCode, message: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof PasskeyError ? error : new PasskeyError(code, message);
  }
}

/** As `orRefuse`, for what is awaited. */
export async function orRefuseLater<T>(
  code: PasskeyErrorCode,
  message: string,
  read: () => Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof PasskeyError ? error : new PasskeyError(code, message);
  }
}
