import { verify, type KeyObject } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import {
  importPublicJwk,
  KEY_ALGORITHMS,
  parsePublicJwk,
  TrustError,
  type JsonObject,
  type KeyAlgorithm,
  type PublicJwk,
} from "@redoubt/verify";

/** A public key of a client. It serves the one algorithm that it was registered with. */
export interface ClientKey {
  readonly kid: string;
  readonly alg: KeyAlgorithm;
  readonly key: KeyObject;
}

const MAX_KID_LENGTH = 128;
const JWK_MEMBERS = ["kid", "alg", "use"];

/**
 * Reads the public keys of a client (RFC 7517 §5); the operator is the author.
 *
 * @throws ServiceError `ERR_ISSUER_JWK`
 */
export function parseClientKeys(jwks: readonly JsonObject[]): readonly ClientKey[] {
  const keys = jwks.map(parseKey);
  if (new Set(keys.map(({ kid }) => kid)).size !== keys.length)
    throw refusal("two keys have one kid");
  return keys;
}

function parseKey(jwk: JsonObject): ClientKey {
  const alg = KEY_ALGORITHMS.find((one) => one === jwk["alg"]);
  if (!alg) throw refusal(`alg must be one of ${KEY_ALGORITHMS.join(", ")}`);
  const { kid, use = "sig" } = jwk;
  if (typeof kid !== "string" || kid.length === 0 || kid.length > MAX_KID_LENGTH || use !== "sig")
    throw refusal(`kid must be a string of 1 to ${MAX_KID_LENGTH} characters, use must be sig`);
  try {
    const members = parsePublicJwk(jwk, alg);
    requirePublic(jwk, members);
    return { kid, alg, key: importPublicJwk(members, alg) };
  } catch (cause) {
    if (cause instanceof TrustError)
      throw new ServiceError("ERR_ISSUER_JWK", `Client key: ${cause.message}`, { cause });
    throw cause;
  }
}

// Private members above all: a secret of the client must not stay here.
function requirePublic(jwk: JsonObject, members: PublicJwk): void {
  for (const name of Object.keys(jwk))
    if (!Object.hasOwn(members, name) && !JWK_MEMBERS.includes(name))
      throw refusal("only public members are taken");
}

/** Whether the signature over a JWS signing input is this key's (RFC 7515 §5.2). */
export function verifiesWith({ alg, key }: ClientKey, input: Buffer, signature: Buffer): boolean {
  switch (alg) {
    case "ES256":
      // RFC 7518 §3.4: exactly r ‖ s.
      return (
        signature.length === 64 &&
        verify("sha256", input, { key, dsaEncoding: "ieee-p1363" }, signature)
      );
    case "Ed25519":
      return verify(null, input, key, signature);
    case "RS256":
    case "PS256":
      // The imported key of PS256 allows nothing but PSS with SHA-256 and a salt of 32 bytes.
      return verify("sha256", input, key, signature);
  }
}

function refusal(problem: string): ServiceError {
  return new ServiceError("ERR_ISSUER_JWK", `Client key: ${problem}`);
}
