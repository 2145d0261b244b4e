import type { KeyInfo } from "@redoubt/registry";

/** Authorization server metadata (RFC 8414 §2): only what is true of the token endpoint. */
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
}

/**
 * One document serves RFC 8414 and OpenID Connect Discovery. There is no authorization endpoint, so no response
 * type; the member is required, and empty. Scopes belong to clients, whom the publisher does not know. There are no ID
 * tokens either, but libraries take the algorithms of access tokens from their member, and without it assume RS256.
 */
export function metadataOf(
  issuer: string,
  tokenEndpoint: string,
  keys: readonly Pick<KeyInfo, "record">[],
): Metadata {
  return {
    issuer,
    token_endpoint: tokenEndpoint,
    jwks_uri: `${issuer}/keys`,
    grant_types_supported: ["client_credentials"],
    response_types_supported: [],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: algorithmsOf(keys),
    token_endpoint_auth_methods_supported: [
      "client_secret_basic",
      "client_secret_post",
      "private_key_jwt",
    ],
    token_endpoint_auth_signing_alg_values_supported: [
      "ES256",
      "Ed25519",
      "EdDSA",
      "PS256",
      "RS256",
    ],
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
