/** Why a key, a record, a statement or a sealed file was refused; stable. */
export type KeyErrorCode =
  | "ERR_KEY_ALG"
  | "ERR_KEY_FILE"
  | "ERR_KEY_PASSPHRASE"
  | "ERR_KEY_UNKNOWN"
  | "ERR_KEY_RECORD"
  | "ERR_KEY_SIGNATURE"
  | "ERR_KEY_TRANSITION"
  | "ERR_STATEMENT_MALFORMED"
  | "ERR_STATEMENT_DIGEST"
  | "ERR_STATEMENT_AUTHOR"
  | "ERR_STATEMENT_CONFLICT";

export class KeyError extends Error {
  override readonly name = "KeyError";
  readonly code: KeyErrorCode;

  constructor(code: KeyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
