import { hash, type KeyObject } from "node:crypto";
import { Base64urlError, decodeBase64url } from "./base64url.ts";
import { DPOP, type Dpop, type DpopExpectation, type DpopUse } from "./binding-options.ts";
import { canonicalJson } from "./canonical.ts";
import { isJsonObject, JsonError, parseJsonObject, type JsonObject } from "./json.ts";
import {
  importPublicJwk,
  parsePublicJwk,
  refusePrivateMembers,
  type KeyAlgorithm,
  type PublicJwk,
} from "./public-key.ts";
import type { ReplayStore } from "./replay-store.ts";
import { SignatureCheck, type SignatureKey } from "./signature.ts";
import { TokenCache } from "./token-cache.ts";
import { TokenError } from "./token-error.ts";
import { TrustError } from "./trust-error.ts";
import { integerOption, refuseUnknownMembers } from "./option-reader.ts";
import { normalHttpUrl } from "./url-normal-form.ts";

/** For `algs` in the `WWW-Authenticate: DPoP` header (RFC 9449 §7.1). `EdDSA` is Ed25519 under its older name. */
export const DPOP_ALGORITHMS = ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"] as const;

/** Nonces of this service (RFC 9449 §9); on `ERR_DPOP_NONCE` the answer carries `current()` as `DPoP-Nonce`. */
export interface DpopNonces {
  /** True for a nonce that this service gave out and still takes. */
  check(nonce: string): boolean;
  current(): string;
}

/** How DPoP proofs are checked. */
export interface DpopPolicy {
  readonly replay: ReplayStore;
  /** How old a proof may be; default 300, at most 600. */
  readonly maxAgeSeconds?: number;
  /** How far ahead the client's clock may be; default 5, at most 60. */
  readonly maxAheadSeconds?: number;
  /** If given, each proof holds a nonce that `check` takes. */
  readonly nonce?: DpopNonces;
}

interface CheckedPolicy {
  readonly replay: ReplayStore;
  readonly maxAgeSeconds: number;
  readonly maxAheadSeconds: number;
  readonly nonce: DpopNonces | undefined;
}

interface ProofKey extends SignatureKey {
  readonly thumbprint: string;
}

const MAX_PROOF_LENGTH = 8192;
const MAX_JTI_LENGTH = 128;
const MAX_KEYS = 1000;
const HEADER_MEMBERS = new Set(["typ", "alg", "jwk"]);

/**
 * Lets a verifier check DPoP proofs (RFC 9449). A function of its own, so that services without DPoP load none of it.
 *
 * @throws TypeError for an unknown member or one out of range
 * @example
 * const verifier = await createVerifier({ trust, audience, binding: { dpop: dpop({ replay: createReplayStore() }) } });
 */
export function dpop(policy: DpopPolicy): Dpop {
  return new DpopProofCheck(checkPolicy(policy));
}

/** Checks proofs by RFC 9449 §4.3, one after the other. */
class DpopProofCheck implements Dpop {
  readonly replay: ReplayStore;
  readonly #policy: CheckedPolicy;
  readonly #signatures = new SignatureCheck();
  /**
   * By the hash of the header, which is the same in all proofs of a client: importing a key costs more than a check.
   */
  readonly #keys = new TokenCache<ProofKey>(MAX_KEYS);

  constructor(policy: CheckedPolicy) {
    this.#policy = policy;
    this.replay = policy.replay;
  }

  /**
   * Decides about a proof, except whether it was used before.
   *
   * @throws TokenError `ERR_DPOP_PROOF` with the check as part; `ERR_DPOP_NONCE`; `ERR_BINDING_MISMATCH` if another
   *   key made it
   */
  [DPOP](proof: string, expected: DpopExpectation): DpopUse {
    const [headerText, payloadText, signatureText] = splitProof(proof);
    const headerHash = hash("sha256", headerText, "base64url");
    const remembered = this.#keys.get(headerHash);
    const key = remembered ?? parseHeader(headerText);
    // RFC 9449 §4.3 check 12. Before the signature: the signature of another key need not be checked at all.
    if (key.thumbprint !== expected.jkt)
      throw new TokenError("ERR_BINDING_MISMATCH", "DPoP proof is not of the token's key", {
        part: "jkt",
      });
    const signingInput = Buffer.from(`${headerText}.${payloadText}`, "latin1");
    if (!this.#signatures.isSignedBy(key, signingInput, decode(signatureText)))
      throw refusal("signature", "is wrong");
    if (remembered === undefined) this.#keys.set(headerHash, key);
    return this.#checkClaims(parse(payloadText), expected);
  }

  #checkClaims(claims: JsonObject, expected: DpopExpectation): DpopUse {
    const { jti, htm, htu, ath } = claims;
    if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI_LENGTH)
      throw refusal("jti", `is not a text of 1 to ${MAX_JTI_LENGTH} characters`);
    // RFC 9110 §9.1: methods are case-sensitive.
    if (htm !== expected.method) throw refusal("htm", "is not the method of the request");
    const url = typeof htu === "string" ? normalHttpUrl(htu) : undefined;
    if (url === undefined || url !== normalHttpUrl(expected.url))
      throw refusal("htu", "is not the URL of the request");
    // RFC 9449 §7: a proof for one token is none for another.
    if (ath !== hash("sha256", expected.token, "base64url"))
      throw refusal("ath", "is not the hash of the token");
    const expiresAtSeconds = this.#checkTimes(claims, expected.nowSeconds);
    this.#checkNonce(claims);
    // The first two parts have a fixed length, so that no two triples give the same text.
    const name = `${expected.jkt}${hash("sha256", jti, "base64url")}${url}`;
    return { key: hash("sha256", name, "base64url"), expiresAtSeconds };
  }

  /** Returns the first second at which the proof is too old. */
  #checkTimes({ iat, exp, nbf }: JsonObject, nowSeconds: number): number {
    const { maxAgeSeconds, maxAheadSeconds } = this.#policy;
    if (!isSeconds(iat)) throw refusal("iat", "is missing or malformed");
    const age = nowSeconds - iat;
    // Written so that NaN, from a clock that gives no time, is refused, too.
    if (!(age >= -maxAheadSeconds && age <= maxAgeSeconds))
      throw refusal("iat", "is too old or in the future");
    // RFC 7519 §4.1.4, §4.1.5: a proof need not hold these; where it does, they count.
    if (exp !== undefined && !(isSeconds(exp) && nowSeconds < exp))
      throw refusal("exp", "is over or malformed");
    if (nbf !== undefined && !(isSeconds(nbf) && nbf <= nowSeconds + maxAheadSeconds))
      throw refusal("nbf", "is in the future or malformed");
    return iat + maxAgeSeconds + 1;
  }

  // RFC 9449 §4.3 check 10, §9.
  #checkNonce({ nonce }: JsonObject): void {
    const nonces = this.#policy.nonce;
    if (nonces === undefined) return;
    if (nonce === undefined)
      throw new TokenError("ERR_DPOP_NONCE", "DPoP proof holds no nonce", { part: "missing" });
    if (typeof nonce !== "string" || !isTaken(nonces, nonce))
      throw new TokenError("ERR_DPOP_NONCE", "DPoP proof holds a nonce that does not count", {
        part: "stale",
      });
  }
}

function checkPolicy(policy: DpopPolicy): CheckedPolicy {
  const where = "dpop";
  refuseUnknownMembers(policy, ["replay", "maxAgeSeconds", "maxAheadSeconds", "nonce"], where);
  const { replay, nonce, maxAgeSeconds = 300, maxAheadSeconds = 5 } = policy;
  if (typeof replay?.add !== "function") throw new TypeError(`${where}.replay: not a replay store`);
  if (
    nonce !== undefined &&
    (typeof nonce?.check !== "function" || typeof nonce.current !== "function")
  )
    throw new TypeError(`${where}.nonce: expected { check, current }`);
  integerOption(`${where}.maxAgeSeconds`, maxAgeSeconds, 1, 600);
  integerOption(`${where}.maxAheadSeconds`, maxAheadSeconds, 0, 60);
  return { replay, maxAgeSeconds, maxAheadSeconds, nonce };
}

function splitProof(proof: string): readonly [string, string, string] {
  if (proof.length > MAX_PROOF_LENGTH) throw refusal("size", "is too long");
  const [header = "", payload = "", signature, ...others] = proof.split(".");
  if (signature === undefined || others.length > 0)
    throw refusal("form", "does not have three segments");
  return [header, payload, signature];
}

function parseHeader(segment: string): ProofKey {
  const header = parse(segment);
  const { typ, alg, jwk } = header;
  // RFC 8725 §3.10, RFC 7515 §4.1.11: nothing that could change how the proof is read.
  for (const name of Object.keys(header))
    if (!HEADER_MEMBERS.has(name)) throw refusal("header", "holds a member that is never accepted");
  // RFC 8725 §3.11: no other kind of token passes for a proof.
  if (typ !== "dpop+jwt") throw refusal("typ", "is not dpop+jwt");
  const algorithm = keyAlgorithm(alg);
  if (algorithm === undefined) throw refusal("alg", "is never accepted");
  if (!isJsonObject(jwk)) throw refusal("jwk", "is missing or malformed");
  const { publicJwk, keyObject } = importKey(jwk, algorithm);
  return {
    scope: { alg: algorithm },
    keyObject,
    signatureBytes: publicJwk.kty === "RSA" ? Buffer.byteLength(publicJwk.n, "base64url") : 64,
    // RFC 7638 §3.2: of the required members alone, which are all that is left here.
    thumbprint: hash("sha256", canonicalJson({ ...publicJwk }), "base64url"),
  };
}

// RFC 9449 §4.3 check 5; RFC 9864 §2.2.
function keyAlgorithm(alg: unknown): KeyAlgorithm | undefined {
  const name = DPOP_ALGORITHMS.find((known) => known === alg);
  return name === "EdDSA" ? "Ed25519" : name;
}

function importKey(
  jwk: JsonObject,
  algorithm: KeyAlgorithm,
): { readonly publicJwk: PublicJwk; readonly keyObject: KeyObject } {
  try {
    // RFC 9449 §4.3 check 7.
    refusePrivateMembers(jwk);
    const publicJwk = parsePublicJwk(jwk, algorithm);
    return { publicJwk, keyObject: importPublicJwk(publicJwk, algorithm) };
  } catch (error) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(error instanceof TrustError)) throw error;
    throw refusal("jwk", "is not a public key of the algorithm");
  }
}

function parse(segment: string): JsonObject {
  try {
    return parseJsonObject(decode(segment));
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw refusal("json", "is not strict JSON");
  }
}

function decode(segment: string): Buffer {
  try {
    return decodeBase64url(segment);
  } catch (error) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(error instanceof Base64urlError)) throw error;
    throw refusal("form", "is not base64url");
  }
}

function isTaken(nonces: DpopNonces, nonce: string): boolean {
  const taken: unknown = nonces.check(nonce);
  // A promise is truthy, and would let every nonce pass.
  return taken === true;
}

function isSeconds(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function refusal(part: string, what: string): TokenError {
  return new TokenError("ERR_DPOP_PROOF", `DPoP proof: ${part} ${what}`, { part });
}
