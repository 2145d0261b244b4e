import type { HttpAnswer } from "@redoubt/http";

/** RFC 7644 §3.12, table 9, as far as it is used here. */
export type ScimType =
  | "invalidFilter"
  | "invalidPath"
  | "invalidSyntax"
  | "invalidValue"
  | "mutability"
  | "noTarget"
  | "uniqueness";

/** What really happened; for the log. */
export type ScimErrorCode =
  | "ERR_SCIM_TOKEN"
  | "ERR_SCIM_SYNTAX"
  | "ERR_SCIM_PATH"
  | "ERR_SCIM_VALUE"
  | "ERR_SCIM_FILTER"
  | "ERR_SCIM_UNKNOWN"
  | "ERR_SCIM_METHOD"
  | "ERR_SCIM_TAKEN"
  | "ERR_SCIM_CHANGED"
  /** Provisioning does not reach so far: an administrator, or the link to a directory's person. */
  | "ERR_SCIM_FORBIDDEN"
  | "ERR_SCIM_MUTABILITY";

const STATUS: Readonly<Record<ScimErrorCode, number>> = {
  ERR_SCIM_TOKEN: 401,
  ERR_SCIM_SYNTAX: 400,
  ERR_SCIM_PATH: 400,
  ERR_SCIM_VALUE: 400,
  ERR_SCIM_FILTER: 400,
  ERR_SCIM_UNKNOWN: 404,
  ERR_SCIM_METHOD: 405,
  ERR_SCIM_TAKEN: 409,
  ERR_SCIM_CHANGED: 409,
  ERR_SCIM_FORBIDDEN: 403,
  ERR_SCIM_MUTABILITY: 400,
};

const TYPES: Partial<Readonly<Record<ScimErrorCode, ScimType>>> = {
  ERR_SCIM_SYNTAX: "invalidSyntax",
  ERR_SCIM_PATH: "invalidPath",
  ERR_SCIM_VALUE: "invalidValue",
  ERR_SCIM_FILTER: "invalidFilter",
  ERR_SCIM_TAKEN: "uniqueness",
  ERR_SCIM_MUTABILITY: "mutability",
};

/** A refusal that a directory is told. The detail quotes no input: bodies hold passwords. */
export class ScimError extends Error {
  override readonly name = "ScimError";
  readonly code: ScimErrorCode;

  constructor(code: ScimErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  answer(): HttpAnswer {
    const scimType = TYPES[this.code];
    return scimFailure(STATUS[this.code], this.message, {
      ...(scimType && { scimType }),
      headers: this.code === "ERR_SCIM_TOKEN" ? ["www-authenticate", 'Bearer realm="scim"'] : [],
    });
  }
}

/** RFC 7644 §3.12. */
export function scimFailure(
  status: number,
  detail: string,
  {
    scimType,
    headers = [],
  }: { readonly scimType?: ScimType; readonly headers?: readonly string[] },
): HttpAnswer {
  const schemas = ["urn:ietf:params:scim:api:messages:2.0:Error"];
  return scimAnswer(status, { schemas, status: String(status), scimType, detail }, headers);
}

export function scimAnswer(
  status: number,
  body: object | null,
  headers: readonly string[] = [],
): HttpAnswer {
  return {
    status,
    headers: ["content-type", "application/scim+json", "cache-control", "no-store", ...headers],
    body: body === null ? "" : JSON.stringify(body),
  };
}
