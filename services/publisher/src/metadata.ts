import type { KeyInfo } from "@redoubt/registry";

/** Authorization server metadata (RFC 8414 §2): only what is true of the token endpoint, and of sign-in where it is. */
export interface Metadata {
  readonly issuer: string;
  readonly token_endpoint: string;
  readonly jwks_uri: string;
  readonly grant_types_supported: readonly string[];
  readonly response_types_supported: readonly string[];
  readonly subject_types_supported: readonly string[];
  readonly id_token_signing_alg_values_supported: readonly string[];
  readonly token_endpoint_auth_methods_supported: readonly string[];
  readonly token_endpoint_auth_signing_alg_values_supported: readonly string[];
  readonly [of_sign_in: string]: string | boolean | readonly string[];
}

interface Described {
  readonly issuer: string;
  readonly tokenEndpoint: string;
  /** Origin of the sign-in pages; undefined where no people sign in. */
  readonly loginOrigin: string | undefined;
  readonly keys: readonly Pick<KeyInfo, "record">[];
}

/**
 * One document serves RFC 8414 and OpenID Connect Discovery. Without people there is no authorization endpoint, so no
 * response type; the member is required, and empty. Scopes of APIs belong to clients, whom the publisher does not know.
 * Libraries take the algorithms of access tokens from the member for those of ID tokens, and without it assume RS256.
 */
export function metadataOf({ issuer, tokenEndpoint, loginOrigin, keys }: Described): Metadata {
  const people = loginOrigin === undefined ? undefined : signInMetadata(tokenEndpoint, loginOrigin);
  const grants = people ? ["authorization_code", "refresh_token"] : [];
  return {
    issuer,
    token_endpoint: tokenEndpoint,
    jwks_uri: `${issuer}/keys`,
    grant_types_supported: ["client_credentials", ...grants],
    response_types_supported: people ? ["code"] : [],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: algorithmsOf(keys),
    token_endpoint_auth_methods_supported: [
      "client_secret_basic",
      "client_secret_post",
      "private_key_jwt",
      // A public client of people (RFC 7636): it proves nothing.
      ...(people ? ["none"] : []),
    ],
    token_endpoint_auth_signing_alg_values_supported: [
      "ES256",
      "Ed25519",
      "EdDSA",
      "PS256",
      "RS256",
    ],
    ...people,
  };
}

/** Sign-in is beside the token endpoint: what browsers are sent to at its own origin, what clients ask at theirs. */
function signInMetadata(tokenEndpoint: string, loginOrigin: string) {
  const beside = tokenEndpoint.replace(/\/token$/, "");
  const pages = `${loginOrigin}${new URL(beside).pathname}`;
  return {
    authorization_endpoint: `${pages}/authorize`,
    end_session_endpoint: `${pages}/sign-out`,
    pushed_authorization_request_endpoint: `${beside}/par`,
    userinfo_endpoint: `${beside}/userinfo`,
    revocation_endpoint: `${beside}/revoke`,
    response_modes_supported: ["query", "fragment", "form_post"],
    // RFC 9700 §2.1.1.
    code_challenge_methods_supported: ["S256"],
    scopes_supported: ["openid", "profile", "email", "offline_access"],
    claims_supported: [
      "sub",
      "tid",
      "acr",
      "amr",
      "auth_time",
      "sid",
      "name",
      "given_name",
      "family_name",
      "preferred_username",
      "email",
      "email_verified",
    ],
    // THREAT-18: there is no other way in than a passkey.
    acr_values_supported: [
      "urn:redoubt:acr:passkey",
      "urn:redoubt:acr:passkey-device",
      "urn:redoubt:acr:passkey-attested",
    ],
    prompt_values_supported: ["none", "login", "consent"],
    dpop_signing_alg_values_supported: ["ES256", "Ed25519", "EdDSA"],
    // RFC 9207 §3.
    authorization_response_iss_parameter_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    claims_parameter_supported: false,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  };
}

/** What kube-apiserver itself would serve (Kubernetes: service account issuer discovery), for relying parties outside. */
export interface ClusterMetadata {
  readonly issuer: string;
  readonly jwks_uri: string;
  readonly response_types_supported: readonly string[];
  readonly subject_types_supported: readonly string[];
  readonly id_token_signing_alg_values_supported: readonly string[];
}

export function clusterMetadataOf(
  issuer: string,
  keys: readonly Pick<KeyInfo, "record">[],
): ClusterMetadata {
  return {
    issuer,
    jwks_uri: `${issuer}/keys`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: algorithmsOf(keys),
  };
}

function algorithmsOf(keys: readonly Pick<KeyInfo, "record">[]): readonly string[] {
  return [...new Set(keys.map(({ record }) => record.alg))].toSorted();
}
