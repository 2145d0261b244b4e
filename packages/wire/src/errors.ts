/** Why a connection or a frame was refused; stable. */
export type WireErrorCode =
  | "ERR_WIRE_FRAME"
  | "ERR_WIRE_TOO_LARGE"
  | "ERR_WIRE_HELLO"
  | "ERR_WIRE_CLOSED"
  | "ERR_WIRE_TIMEOUT"
  | "ERR_WIRE_BUSY"
  | "ERR_WIRE_STOPPING";

export class WireError extends Error {
  override readonly name = "WireError";
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The other side answered with an error; `code` is the other side's. */
export class RemoteError extends Error {
  override readonly name = "RemoteError";
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;
  /** Further members of the error head, e.g. `size` after a lost compare-and-swap. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.code = code;
    this.details = details;
    const { retryAfterSeconds } = details;
    this.retryAfterSeconds = typeof retryAfterSeconds === "number" ? retryAfterSeconds : undefined;
  }
}
