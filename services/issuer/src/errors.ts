import type { HttpAnswer } from "@redoubt/http";

/** RFC 6749 §5.2, RFC 8707 §2; the last two for the cases that RFC 6749 §4.1.2.1 names. */
export type OAuthErrorCode =
  | "invalid_request"
  | "invalid_client"
  | "unauthorized_client"
  | "unsupported_grant_type"
  | "invalid_scope"
  | "invalid_target"
  | "temporarily_unavailable"
  | "server_error";

/** What really happened; for the log, never for the client. */
export type IssuerErrorCode =
  | "ERR_ISSUER_FORM"
  | "ERR_ISSUER_AUTH_MISSING"
  | "ERR_ISSUER_AUTH_METHODS"
  | "ERR_ISSUER_AUTH_METHOD"
  | "ERR_ISSUER_AUTH_MALFORMED"
  | "ERR_ISSUER_AUTH_LIMITED"
  | "ERR_ISSUER_CLIENT_ID"
  | "ERR_ISSUER_CLIENT_STATUS"
  | "ERR_ISSUER_SECRET"
  | "ERR_ISSUER_ASSERTION_FORM"
  | "ERR_ISSUER_ASSERTION_HEADER"
  | "ERR_ISSUER_ASSERTION_CLIENT"
  | "ERR_ISSUER_ASSERTION_KEY"
  | "ERR_ISSUER_ASSERTION_SIGNATURE"
  | "ERR_ISSUER_ASSERTION_AUDIENCE"
  | "ERR_ISSUER_ASSERTION_TIME"
  | "ERR_ISSUER_ASSERTION_REPLAY"
  | "ERR_ISSUER_ASSERTION_SHARE"
  | "ERR_ISSUER_REPLAY_STORE"
  | "ERR_ISSUER_GRANT"
  | "ERR_ISSUER_RESOURCE"
  | "ERR_ISSUER_SCOPE"
  | "ERR_ISSUER_SIGNER_DOWN"
  | "ERR_ISSUER_SIGNER_SILENT"
  | "ERR_ISSUER_SIGNER_ANSWER"
  | "ERR_ISSUER_SIGNER_REFUSED"
  | "ERR_ISSUER_BUDGET"
  | "ERR_ISSUER_QUEUE"
  /** The store of people cannot be opened. */
  | "ERR_ISSUER_PEOPLE"
  /** What the registry says of tenants and clients is not known well enough to decide by it. */
  | "ERR_ISSUER_REGISTRY";

export interface OAuthErrorOptions extends ErrorOptions {
  /** Says how to authenticate (RFC 9110 §15.5.2): where nothing or Basic was used. */
  readonly challenge?: boolean;
  readonly status?: number;
  readonly retryAfterSeconds?: number;
}

/** A refusal at the token endpoint. The description quotes no input. */
export class OAuthError extends Error {
  override readonly name = "OAuthError";
  readonly code: IssuerErrorCode;
  readonly error: OAuthErrorCode;
  readonly status: number;
  readonly #options: OAuthErrorOptions;

  constructor(
    code: IssuerErrorCode,
    error: OAuthErrorCode,
    description: string,
    options: OAuthErrorOptions = {},
  ) {
    super(description, options);
    this.code = code;
    this.error = error;
    this.status = options.status ?? STATUS[error];
    this.#options = options;
  }

  answer(): HttpAnswer {
    const { challenge = false, retryAfterSeconds } = this.#options;
    const headers: string[] = [...JSON_HEADERS];
    if (challenge) headers.push("www-authenticate", 'Basic realm="token", charset="UTF-8"');
    if (retryAfterSeconds !== undefined) headers.push("retry-after", String(retryAfterSeconds));
    const body = { error: this.error, error_description: this.message };
    return { status: this.status, headers, body: JSON.stringify(body) };
  }
}

/** RFC 6749 §5.1: neither tokens nor refusals are kept by anything in between. */
export const JSON_HEADERS: readonly string[] = [
  "content-type",
  "application/json",
  "cache-control",
  "no-store",
  "pragma",
  "no-cache",
];

const STATUS: Readonly<Record<OAuthErrorCode, number>> = {
  invalid_request: 400,
  invalid_client: 401,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  temporarily_unavailable: 503,
  server_error: 500,
};

/**
 * THREAT-34: unknown client, wrong secret and bad assertion look alike from outside. A hint may say what every client
 * must do, never what was wrong with one.
 */
export function invalidClient(
  code: IssuerErrorCode,
  { hint, ...options }: OAuthErrorOptions & { readonly hint?: string } = {},
): OAuthError {
  const description = "Client authentication failed";
  return new OAuthError(
    code,
    "invalid_client",
    hint === undefined ? description : `${description}: ${hint}`,
    options,
  );
}
