import { ServiceError } from "@redoubt/base";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { SIGNER, type IssueRequest } from "@redoubt/wire";

/** P2: members that only the signer sets. A caller that names one of them is hostile or broken, and is refused. */
const RESERVED: ReadonlySet<string> = new Set(
  "iss tid iat nbf exp jti ver typ kid alg aud client_id".split(" "),
);

/** @throws ServiceError `ERR_SIGNER_RESERVED`, `ERR_REQUEST_MEMBER` */
export function parseIssueRequest(head: JsonObject): IssueRequest {
  refuseReservedOfIssue(head);
  return SIGNER.issue.request.read(head);
}

/** @throws ServiceError `ERR_SIGNER_RESERVED` */
export function refuseReservedOfIssue(head: JsonObject): void {
  refuseReserved(head);
  const { handle, context } = head;
  if (isJsonObject(handle)) refuseReserved(handle);
  if (context !== undefined) refuseReservedWithin(context);
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

// Nesting is bounded by the frame's reader.
function refuseReservedWithin(value: JsonValue): void {
  if (isJsonObject(value)) refuseReserved(value);
  if (typeof value === "object" && value !== null)
    for (const inner of Object.values<JsonValue>(value)) refuseReservedWithin(inner);
}
