import { ServiceError } from "@redoubt/base";
import { Base64urlError, decodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, JsonError, parseJsonObject } from "@redoubt/verify/json";
import type { ExactRequest } from "@redoubt/wire";
import type { PolicyInput } from "../issue/policy.ts";
import type { ExactHandle } from "../issue/sign-exact.ts";
import { parsePersonClaims, PERSON_TYP, type PersonToken } from "./person-claims.ts";

const HOUR = 3600;
/** OpenID Connect Back-Channel Logout 1.0 §2.4 recommends two minutes. */
const LOGOUT_SECONDS = 120;

/**
 * What an issuer may have signed for the people who use a client, as the registry has that client. The issuer is not
 * trusted: it is what stands between this signer and every browser (THREAT-04).
 *
 * @throws ServiceError `ERR_SIGNER_HANDLE`, `ERR_SIGNER_CLIENT`, `ERR_REQUEST_MEMBER`
 */
export function personHandle(
  { realm, registry }: PolicyInput,
  { handle, client, header }: ExactRequest,
): ExactHandle {
  // THREAT-01: this process serves one realm.
  if (handle.realm !== realm)
    throw new ServiceError("ERR_SIGNER_HANDLE", `Handle realm: expected ${realm}`);
  const known = registry.clients.get(`${realm}/${handle.tenant}/${client}`);
  // Without `login` a client gets tokens for itself alone; nobody signs in through it.
  if (known?.status !== "active" || known.login === undefined)
    throw new ServiceError("ERR_SIGNER_CLIENT", "No person signs in through this client");
  const kind = kindOf(handle.class, header);
  const owned = registry.tenants.get(`${realm}/${handle.tenant}`)?.audiences ?? [];
  const { tenant } = handle;
  return {
    tenant,
    class: kind === "access" ? "at" : "oidc",
    client,
    header: (alg, kid) => encodeLibraryHeader(alg, kid, PERSON_TYP[kind]),
    // The tenant's list is looked at again: it may have been narrowed after the client was registered.
    audiences: kind === "access" ? known.audiences.filter((one) => owned.includes(one)) : [client],
    maxLifetimeSeconds: kind === "logout" ? LOGOUT_SECONDS : HOUR,
    parse: (payload) => parsePersonClaims(kind, payload, { tenant, client, scopes: known.scopes }),
  };
}

/** The order of members in which the issuer's protocol library writes a header: the bytes are signed as they came. */
export function encodeLibraryHeader(alg: string, kid: string, typ: string | undefined): string {
  return Buffer.from(JSON.stringify({ alg, typ, kid })).toString("base64url");
}

/** Which token it is, by class and `typ`; the rest of the header is compared as text, once the key is known. */
function kindOf(tokenClass: string, header: string): PersonToken {
  const typ = typOf(header);
  if (tokenClass === "at" && typ === PERSON_TYP.access) return "access";
  if (tokenClass === "oidc" && typ === PERSON_TYP.id) return "id";
  if (tokenClass === "oidc" && typ === PERSON_TYP.logout) return "logout";
  throw new ServiceError("ERR_SIGNER_HANDLE", "Handle class and typ do not belong together");
}

function typOf(segment: string): unknown {
  try {
    const header = parseJsonObject(decodeBase64url(segment), { maxDepth: 1 });
    return isJsonObject(header) ? header["typ"] : undefined;
  } catch (cause) {
    if (!(cause instanceof JsonError) && !(cause instanceof Base64urlError)) throw cause;
    throw new ServiceError("ERR_REQUEST_MEMBER", `Header: ${cause.message}`, { cause });
  }
}
