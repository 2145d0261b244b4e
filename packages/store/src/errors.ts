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
  /** Something else is there: a name that is taken, a version that has moved on. Nothing was changed. */
  | "ERR_STORE_CONFLICT"
  /** What is to be changed, or what it is to belong to, is not there. */
  | "ERR_STORE_MISSING"
  /** A value that may not stand where it should. */
  | "ERR_STORE_VALUE"
  /** The database would acknowledge what a power cut takes back. */
  | "ERR_STORE_UNSAFE"
  /** Not something that this engine does. */
  | "ERR_STORE_UNSUPPORTED"
  /** The environment failed. Of a change that was to be stored at this moment, only the database knows the fate. */
  | "ERR_STORE_IO";

export interface StoreErrorOptions extends ErrorOptions {
  /** Which of the values is concerned. */
  readonly part?: string;
}

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  readonly part: string | undefined;

  constructor(code: StoreErrorCode, message: string, options?: StoreErrorOptions) {
    super(message, options);
    this.code = code;
    this.part = options?.part;
  }
}
