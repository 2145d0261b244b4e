import { encodeCanonical, MemberReader, ServiceError } from "@redoubt/base";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";

/** What a caller asks for: intent, no bytes (P2). Every member is chosen by the caller. */
export interface IssueRequest {
  readonly realm: string;
  readonly tenant: string;
  readonly class: string;
  readonly client: string;
  readonly subject: string;
  readonly audience: string;
  readonly scope: string | undefined;
  readonly ttlSeconds: number | undefined;
  /** Why the caller issues: goes into the sealed body, never into the token. */
  readonly context: JsonObject | undefined;
}

/** P2: what only the signer says. Naming one of these is an attack or a defect, never a wish to be granted. */
const RESERVED: ReadonlySet<string> = new Set(
  "iss tid iat nbf exp jti ver typ kid alg aud client_id".split(" "),
);

const MAX_CONTEXT_CHARACTERS = 2048;
/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/** @throws ServiceError `ERR_SIGNER_RESERVED`, `ERR_REQUEST_MEMBER` */
export function parseIssueRequest(head: JsonObject): IssueRequest {
  refuseReserved(head);
  const reader = new MemberReader(head, "issue");
  const handleObject = reader.rawObject("handle");
  refuseReserved(handleObject);
  const handle = new MemberReader(handleObject, "issue handle");
  const request: IssueRequest = {
    realm: handle.string("realm", 32),
    tenant: handle.string("tenant", 36),
    class: handle.string("class", 16),
    client: reader.string("client", 128),
    subject: reader.string("sub", 256),
    audience: reader.string("audience"),
    scope: reader.optionalString("scope", 1024, SCOPE),
    // Any upper bound here would hide ERR_SIGNER_TTL behind another code.
    ttlSeconds: reader.optionalInteger("ttl", 1, Number.MAX_SAFE_INTEGER),
    context: reader.has("context") ? readContext(reader.rawObject("context")) : undefined,
  };
  handle.done();
  reader.done();
  return request;
}

/** @throws ServiceError `ERR_SIGNER_RESERVED` */
export function refuseReserved(object: JsonObject): void {
  for (const name in object)
    if (RESERVED.has(name))
      throw new ServiceError(
        "ERR_SIGNER_RESERVED",
        `Reserved member: ${name} is the signer's to set`,
      );
}

function readContext(context: JsonObject): JsonObject {
  refuseReservedWithin(context);
  if (contextLength(context) > MAX_CONTEXT_CHARACTERS)
    throw new ServiceError("ERR_REQUEST_MEMBER", "issue: context is too large");
  return context;
}

// Nesting is bounded by the frame's reader.
function refuseReservedWithin(value: JsonValue): void {
  if (isJsonObject(value)) refuseReserved(value);
  if (typeof value === "object" && value !== null)
    for (const inner of Object.values<JsonValue>(value)) refuseReservedWithin(inner);
}

function contextLength(context: JsonObject): number {
  try {
    return encodeCanonical(context).length;
  } catch (cause) {
    throw new ServiceError("ERR_REQUEST_MEMBER", "issue: context has no canonical form", { cause });
  }
}
