/** Why the store refused or failed; stable. */
export type StoreErrorCode =
  /** Held by another process. */
  | "ERR_STORE_LOCKED"
  /** Written by a newer version of this software. */
  | "ERR_STORE_VERSION"
  /** Belongs to another realm. */
  | "ERR_STORE_REALM"
  | "ERR_STORE_CORRUPT"
  /** A bound is reached; nothing was forgotten to make room. */
  | "ERR_STORE_FULL"
  /** One owner has as much as one may have; others are not concerned. */
  | "ERR_STORE_SHARE"
  | "ERR_STORE_IO";

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
