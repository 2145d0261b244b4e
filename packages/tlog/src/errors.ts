/** Why something of the log was refused. Stable: callers and dashboards switch on it. */
export type TlogErrorCode =
  | "ERR_TLOG_HASH"
  | "ERR_TLOG_RANGE"
  | "ERR_TLOG_PROOF"
  | "ERR_TLOG_TILE"
  | "ERR_TLOG_BUNDLE"
  | "ERR_TLOG_VKEY"
  | "ERR_TLOG_NOTE_MALFORMED"
  | "ERR_TLOG_NOTE_SIGNATURE"
  | "ERR_TLOG_NOTE_UNKNOWN_KEY"
  | "ERR_TLOG_CHECKPOINT"
  | "ERR_TLOG_COSIGNATURE"
  | "ERR_TLOG_PROOF_FILE"
  | "ERR_TLOG_WITNESS";

export interface TlogErrorDetail {
  /** Only numbers and text of our own: a value that a peer chose would carry it into our logs. */
  readonly found?: string | number;
  readonly expected?: string | number;
  readonly cause?: unknown;
}

/** The one error of this package for bad input and failed checks; `code` says which. */
export class TlogError extends Error {
  override readonly name = "TlogError";
  readonly code: TlogErrorCode;
  readonly found: string | number | undefined;
  readonly expected: string | number | undefined;

  constructor(code: TlogErrorCode, problem: string, detail: TlogErrorDetail = {}) {
    const { found, expected, cause } = detail;
    const parts = [
      ...(found === undefined ? [] : [`found ${found}`]),
      ...(expected === undefined ? [] : [`expected ${expected}`]),
    ];
    const message = parts.length === 0 ? problem : `${problem}: ${parts.join(", ")}`;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.found = found;
    this.expected = expected;
  }
}
