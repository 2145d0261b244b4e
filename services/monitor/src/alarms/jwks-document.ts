import { hash } from "node:crypto";
import { encodeCanonical } from "@redoubt/base";
import { attestationMember, jwkOf, type KeyInfo } from "@redoubt/registry";
import {
  importPublicJwk,
  KEY_ALGORITHMS,
  parsePublicJwk,
  TrustError,
  type KeyAlgorithm,
  type PublicJwk,
} from "@redoubt/verify";
import {
  isJsonObject,
  JsonError,
  parseJson,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";

/** A key as some JWKS showed it. */
export interface ServedKey {
  readonly kid: string;
  /** base64url SHA-256 of its JSON. */
  readonly digest: string;
  /** Canonical, or undefined where it holds what our canonical form does not have. */
  readonly canonical: string | undefined;
  readonly jwk: JsonObject;
}

const MAX_KEYS = 1000;

/** The keys of a JWKS; undefined for what a strict reader refuses and a lenient client might still take. */
export function readServedKeys(body: Uint8Array): readonly ServedKey[] | undefined {
  const keys = tryParse(body)?.["keys"];
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) return undefined;
  const served = keys.map(servedKey);
  return served.includes(undefined) ? undefined : served.filter((key) => key !== undefined);
}

/** The `jwks_uri` of a discovery document for exactly this issuer, or undefined. */
export function readJwksUri(body: Uint8Array, issuer: string): string | undefined {
  const document = tryParse(body);
  const uri = document?.["jwks_uri"];
  // OpenID Connect Discovery 1.0 §4.3: the issuer of the document is the one that was asked for.
  return document?.["issuer"] === issuer && typeof uri === "string" ? uri : undefined;
}

/**
 * Whether a JWKS shows a registered key as it has to: exactly, but that it may name the attestation of a key whose signer
 * has leases, at the one address where that is (docs/spec/leases.md §8).
 */
export function isShownAs(key: KeyInfo, served: ServedKey, issuer: string, mayAttest: boolean) {
  const hardware = mayAttest ? attestedHardware(served.jwk) : undefined;
  const member = hardware !== undefined && attestationMember(issuer, key.kid, hardware);
  const shown = { ...jwkOf(key), ...member };
  return served.canonical === encodeCanonical(parseJson(JSON.stringify(shown)));
}

function attestedHardware({ "x-attestation": attestation }: JsonObject): string | undefined {
  const { hardware } = isJsonObject(attestation) ? attestation : {};
  return typeof hardware === "string" && /^[a-z0-9-]{1,16}$/.test(hardware) ? hardware : undefined;
}

/** Every way in which a client could verify with such a key: an RSA key without `alg` has two. */
export function usesOf(jwk: JsonObject): { readonly alg: KeyAlgorithm; readonly jwk: PublicJwk }[] {
  return KEY_ALGORITHMS.flatMap((alg) => {
    try {
      const key = parsePublicJwk(jwk, alg);
      importPublicJwk(key, alg);
      return [{ alg, jwk: key }];
    } catch (error) {
      if (error instanceof TrustError) return [];
      throw error;
    }
  });
}

function servedKey(value: JsonValue): ServedKey | undefined {
  if (!isJsonObject(value)) return undefined;
  const { kid } = value;
  return {
    kid: typeof kid === "string" ? kid : "",
    digest: hash("sha256", JSON.stringify(value), "base64url"),
    canonical: tryCanonical(value),
    jwk: value,
  };
}

function tryCanonical(value: JsonObject): string | undefined {
  try {
    return encodeCanonical(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function tryParse(body: Uint8Array): JsonObject | undefined {
  try {
    return parseJsonObject(body);
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}
