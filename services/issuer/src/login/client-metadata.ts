import type { ClientInfo } from "@redoubt/registry";
import type { ClientMetadata } from "oidc-provider";

/**
 * A client as the protocol library is to see it; undefined where no person may sign in through it. All are public to the
 * library: our own authenticator has proven who a confidential one is before the library hears of it (THREAT-34).
 */
export function clientMetadata(client: ClientInfo): ClientMetadata | undefined {
  const { login, status } = client;
  if (status !== "active" || login === undefined) return undefined;
  return {
    client_id: client.client,
    redirect_uris: [...login.redirectUris],
    post_logout_redirect_uris: [...login.logoutUris],
    // RFC 8252 §7.3: the port of a loopback address is the application's to choose.
    application_type: isNative(login.redirectUris) ? "native" : "web",
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
}

/** Whether it must prove who it is where it asks for tokens (RFC 6749 §2.1). */
export function isConfidential({ credentialsHash }: ClientInfo): boolean {
  return credentialsHash !== undefined;
}

function isNative(uris: readonly string[]): boolean {
  return uris.every((uri) => uri.startsWith("http:"));
}
