/** Why a request was refused by its form or for want of room, before a handler looked at its meaning; stable. */
export type HttpErrorCode =
  | "ERR_HTTP_BODY_TOO_LARGE"
  | "ERR_HTTP_BUSY"
  | "ERR_HTTP_CONTENT_TYPE"
  | "ERR_HTTP_CREDENTIALS"
  | "ERR_HTTP_FORM"
  | "ERR_HTTP_FORM_DUPLICATE"
  | "ERR_HTTP_HEADER"
  | "ERR_HTTP_JSON"
  | "ERR_HTTP_METHOD"
  | "ERR_HTTP_NOT_FOUND"
  /** Asked by a page of another origin (RFC 6454 §7). */
  | "ERR_HTTP_ORIGIN";

const STATUS: Readonly<Record<HttpErrorCode, number>> = {
  ERR_HTTP_BODY_TOO_LARGE: 413,
  ERR_HTTP_BUSY: 503,
  ERR_HTTP_CONTENT_TYPE: 415,
  ERR_HTTP_CREDENTIALS: 401,
  ERR_HTTP_FORM: 400,
  ERR_HTTP_FORM_DUPLICATE: 400,
  ERR_HTTP_HEADER: 400,
  ERR_HTTP_JSON: 400,
  ERR_HTTP_METHOD: 405,
  ERR_HTTP_NOT_FOUND: 404,
  ERR_HTTP_ORIGIN: 403,
};

/** A refusal that the server answers as problem+json. The message goes to the client: it quotes no input. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly code: HttpErrorCode;
  readonly status: number;
  /** Further header lines of the answer: name, value, name, value … */
  readonly headers: readonly string[];

  constructor(
    code: HttpErrorCode,
    message: string,
    options: ErrorOptions & { readonly headers?: readonly string[] } = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = STATUS[code];
    this.headers = options.headers ?? [];
  }
}
