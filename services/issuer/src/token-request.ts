import type { ClientInfo } from "@redoubt/registry";
import { OAuthError } from "./errors.ts";

export interface TokenRequest {
  readonly audience: string;
  readonly scope: string | undefined;
}

const MAX_SCOPE_LENGTH = 1024;
/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/**
 * Holds what an authenticated client asks for against its registration. The signer does it again: this process
 * is not trusted with scope.
 */
export function readTokenRequest(
  form: ReadonlyMap<string, string>,
  client: ClientInfo,
): TokenRequest {
  const grant = form.get("grant_type");
  if (grant === undefined)
    throw new OAuthError("ERR_ISSUER_GRANT", "invalid_request", "grant_type is missing");
  if (grant !== "client_credentials")
    throw new OAuthError(
      "ERR_ISSUER_GRANT",
      "unsupported_grant_type",
      "grant_type must be client_credentials",
    );
  return { audience: readAudience(form, client), scope: readScope(form.get("scope"), client) };
}

// RFC 8707 §2: what the token is for, one resource in each token.
function readAudience(form: ReadonlyMap<string, string>, { audiences }: ClientInfo): string {
  const resource = form.get("resource");
  const [only, second] = audiences;
  if (resource === undefined && only !== undefined && second === undefined) return only;
  if (resource === undefined)
    throw new OAuthError(
      "ERR_ISSUER_RESOURCE",
      "invalid_target",
      "resource must name what the token is for",
    );
  if (!audiences.includes(resource))
    throw new OAuthError(
      "ERR_ISSUER_RESOURCE",
      "invalid_target",
      "resource is not registered for this client",
    );
  return resource;
}

// RFC 6749 §3.3: a client that names no scope gets those that it was registered with.
function readScope(asked: string | undefined, { scopes }: ClientInfo): string | undefined {
  if (asked === undefined) return scopes.length > 0 ? scopes.join(" ") : undefined;
  if (asked.length > MAX_SCOPE_LENGTH || !SCOPE.test(asked)) throw badScope("scope is malformed");
  for (const scope of asked.split(" "))
    if (!scopes.includes(scope)) throw badScope("scope is not registered for this client");
  return asked;
}

function badScope(description: string): OAuthError {
  return new OAuthError("ERR_ISSUER_SCOPE", "invalid_scope", description);
}
