/** What went wrong inside a process; stable, callers and dashboards switch on it. */
export class ServiceError<Code extends string = string> extends Error {
  override readonly name = "ServiceError";
  readonly code: Code;
  /** Facts for the log, and for the caller of a socket, who gets them too. Never a token, key, secret or challenge. */
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    code: Code,
    message: string,
    options: ErrorOptions & { readonly fields?: Readonly<Record<string, unknown>> } = {},
  ) {
    const { fields = {}, ...rest } = options;
    super(message, rest);
    this.code = code;
    this.fields = fields;
  }
}

/** The code of an error of ours, of Node or of SQLite; `ERR_UNEXPECTED` for anything else. */
export function errorCode(error: unknown): string {
  if (typeof error === "object" && error !== null && "code" in error) {
    if (typeof error.code === "string") return error.code;
  }
  return "ERR_UNEXPECTED";
}

/** A chain of causes may be a ring. */
const MAX_CAUSES = 8;

/** One line that says what happened, with the causes, for a log or a terminal. */
export function errorLine(error: unknown): string {
  return causes(error, MAX_CAUSES)
    .map((cause) => describe(cause).replaceAll(/\s+/g, " "))
    .join(": ");
}

function causes(error: unknown, left: number): unknown[] {
  if (!(error instanceof Error) || error.cause === undefined || left === 0) return [error];
  return [error, ...causes(error.cause, left - 1)];
}

// Node's AggregateError of a failed connection has a code but no message.
function describe(error: unknown): string {
  if (error instanceof Error) return error.message === "" ? errorCode(error) : error.message;
  return typeof error === "string" ? error : `Not an error: ${typeof error}`;
}
