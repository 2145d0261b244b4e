import { hash } from "node:crypto";
import { SenderCheck, type SenderContext } from "./binding.ts";
import { isJsonObject } from "./json.ts";
import type { ReportSink } from "./report-queue.ts";
import { SignatureCheck } from "./signature.ts";
import { TokenBuffers } from "./token-buffers.ts";
import { TokenCache } from "./token-cache.ts";
import { checkClaims, checkTimes } from "./token-claims.ts";
import { TokenError, type TokenErrorCode } from "./token-error.ts";
import { parseUnverifiedHeader, type TokenHeader } from "./token-header.ts";
import { checkScope, parseScopeClaims, ruleForKey, scopeError } from "./token-scope.ts";
import type { TrustReader } from "./trust-source.ts";
import type { TrustedKey } from "./trusted-key.ts";
import {
  asCached,
  sealVerifiedToken,
  type VerifiedKey,
  type VerifiedToken,
} from "./verified-token.ts";
import {
  checkVerifierOptions,
  type CheckedRule,
  type VerifierOptions,
  type VerifierPolicy,
} from "./verifier-options.ts";
import { describeVerifier, type VerifierStatus } from "./verifier-status.ts";

/** Decides about tokens; holds no connection while it does. */
export interface Verifier {
  /**
   * Verifies one access token and returns what it says. The context is needed for tokens that are bound to a key.
   *
   * @throws TokenError, and nothing else, for every text that is not acceptable; TypeError for a malformed context,
   *   and for a DPoP proof where the replay store answers with a promise
   */
  verify(token: string, context?: SenderContext): VerifiedToken;
  /** As `verify`, with a replay store that answers later. */
  verifyAsync(token: string, context?: SenderContext): Promise<VerifiedToken>;
  /** What this verifier trusts and saw; for a status page, not for decisions. */
  status(): VerifierStatus;
  /** Loads the trust data now. Rejects with a TrustError; the old data then stay until they are stale. */
  reload(): Promise<void>;
  /** Stops background work; every later `verify()` fails. */
  close(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a verifier and waits for its first keys.
 *
 * @throws TypeError for options that are missing, unknown or contradict; TrustError if the keys cannot be loaded
 * @example
 * const verifier = await createVerifier({
 *   trust: fromDiscovery({ issuers: [{ issuer: "https://id.example/t1", realm: "enterprise", ring }] }),
 *   audience: "api://orders",
 *   accept: [{ issuer: "https://id.example/{tenantid}", realm: "enterprise", tenants: "any" }],
 *   issuance: { mode: "audit", reporter },
 * });
 * const { payload, tenantId } = verifier.verify(token);
 */
export async function createVerifier(options: VerifierOptions): Promise<Verifier> {
  const policy = checkVerifierOptions(options);
  const trust = await options.trust.open({ now: policy.now });
  return new TokenVerifier(policy, trust);
}

/** What a header leads to; remembered by its text once a signature under it was good. */
interface ResolvedHeader {
  readonly header: TokenHeader;
  readonly key: TrustedKey;
  readonly rule: CheckedRule;
  readonly verifiedKey: VerifiedKey;
}

interface CachedToken {
  readonly token: VerifiedToken;
  readonly key: TrustedKey;
}

const MAX_HEADERS = 64;

class TokenVerifier implements Verifier {
  readonly #policy: VerifierPolicy;
  readonly #trust: TrustReader;
  readonly #tokens: TokenCache<CachedToken>;
  readonly #buffers: TokenBuffers;
  readonly #signatures = new SignatureCheck();
  readonly #headers = new TokenCache<ResolvedHeader>(MAX_HEADERS);
  readonly #senders: SenderCheck;
  readonly #refused = new Map<TokenErrorCode, number>();
  #keys: TrustReader["keys"];
  #accepted = 0;
  #cacheHits = 0;
  #isClosed = false;

  constructor(policy: VerifierPolicy, trust: TrustReader) {
    this.#policy = policy;
    this.#trust = trust;
    this.#keys = trust.keys;
    this.#tokens = new TokenCache(policy.cacheMax);
    this.#buffers = new TokenBuffers(policy.maxTokenLength);
    this.#senders = new SenderCheck(policy.binding, policy.now);
  }

  verify(token: string, context?: SenderContext): VerifiedToken {
    try {
      const result = this.#verify(token);
      this.#senders.check(token, result.payload, context);
      this.#accepted += 1;
      return result;
    } catch (error) {
      this.#countRefusal(error);
      throw error;
    }
  }

  async verifyAsync(token: string, context?: SenderContext): Promise<VerifiedToken> {
    try {
      const result = this.#verify(token);
      await this.#senders.checkAsync(token, result.payload, context);
      this.#refuseClosed();
      this.#accepted += 1;
      return result;
    } catch (error) {
      this.#countRefusal(error);
      throw error;
    }
  }

  #countRefusal(error: unknown): void {
    if (error instanceof TokenError)
      this.#refused.set(error.code, (this.#refused.get(error.code) ?? 0) + 1);
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new TokenError("ERR_VERIFIER_CLOSED", "Verifier is closed");
  }

  #verify(token: string): VerifiedToken {
    this.#refuseClosed();
    const nowMs = this.#policy.now();
    // NaN would be neither before nor after any time.
    if (!Number.isFinite(nowMs)) throw new RangeError("now() returned no time");
    if (typeof token !== "string") throw new TokenError("ERR_JWS_INVALID", "Token is not a string");
    if (token.length > this.#policy.maxTokenLength)
      throw new TokenError("ERR_TOKEN_TOO_LARGE", "Token is longer than maxTokenLength");
    this.#followTrust();
    // The whole token, because a good signing input says nothing about the signature beside it.
    const cacheKey = this.#policy.cacheMax === 0 ? "" : hash("sha256", token, "binary");
    const known = this.#tokens.get(cacheKey);
    if (known !== undefined) return this.#recheck(known, cacheKey, nowMs);
    const { key, result } = this.#verifyNew(token, nowMs);
    this.#tokens.set(cacheKey, { token: result, key });
    return result;
  }

  #verifyNew(
    token: string,
    nowMs: number,
  ): { readonly key: TrustedKey; readonly result: VerifiedToken } {
    const nowSeconds = Math.floor(nowMs / 1000);
    const [headerText, payloadText, signatureText] = splitToken(token);
    const remembered = this.#headers.get(headerText);
    const resolved = remembered ?? this.#resolve(headerText);
    const { header, key, rule, verifiedKey } = resolved;
    checkFresh(key, nowMs);
    const buffers = this.#buffers;
    buffers.load(token);
    const signature = buffers.signature(signatureText);
    const payload = buffers.payload(payloadText);
    // RFC 7519 §7.2 step 10.
    if (!isJsonObject(payload))
      throw new TokenError("ERR_JWT_INVALID", "Token payload is not an object");
    const claims = parseScopeClaims(payload);
    checkScope(claims, key, rule, nowSeconds);
    const signingInput = buffers.signingInput(headerText.length + 1 + payloadText.length);
    if (!this.#signatures.isSignedBy(key, signingInput, signature))
      throw new TokenError("ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "Token signature is wrong");
    // A copy: a slice would hold the whole token in memory.
    if (remembered === undefined)
      this.#headers.set(Buffer.from(headerText, "latin1").toString("latin1"), resolved);
    checkClaims(payload, claims, this.#policy, nowSeconds);
    // Not of the whole token: ECDSA signatures have two forms, and reports must know both as one.
    const digest = hash("sha256", signingInput, "base64url");
    const result = sealVerifiedToken({
      payload,
      protectedHeader: header,
      key: verifiedKey,
      tenantId: claims.tid,
      digest,
    });
    report(this.#policy.reporter, result, signature, signingInput);
    return { key, result };
  }

  // P1, THREAT-02: what depends on time or on the key is asked again, whatever the cache says.
  #recheck(known: CachedToken, cacheKey: string, nowMs: number): VerifiedToken {
    const nowSeconds = Math.floor(nowMs / 1000);
    const { payload } = known.token;
    try {
      checkFresh(known.key, nowMs);
      const { verifyUntil } = known.key.scope;
      if (nowSeconds >= verifyUntil)
        throw scopeError(known.key, "window", nowSeconds, `now before ${verifyUntil}`);
      checkTimes(payload, payload, this.#policy.clockToleranceSeconds, nowSeconds);
    } catch (error) {
      this.#tokens.delete(cacheKey);
      throw error;
    }
    this.#cacheHits += 1;
    return known.token.cached ? known.token : this.#rememberAsCached(known, cacheKey);
  }

  #rememberAsCached({ token, key }: CachedToken, cacheKey: string): VerifiedToken {
    const cached = asCached(token);
    this.#tokens.set(cacheKey, { token: cached, key });
    return cached;
  }

  #resolve(headerText: string): ResolvedHeader {
    const header = parseUnverifiedHeader(headerText);
    // P7, THREAT-09: an unknown kid is an answer, not a reason to fetch.
    const key = this.#keys.get(header.kid);
    if (key === undefined)
      throw new TokenError("ERR_JWKS_NO_MATCHING_KEY", "Token header: no trusted key has this kid");
    const { kid, alg, realm, issuer } = key.scope;
    // RFC 8725 §3.1: each key has exactly one algorithm.
    if (header.alg !== alg) throw scopeError(key, "alg", header.alg, alg);
    // RFC 8725 §3.12: a key for ID tokens makes no access tokens.
    if (key.scope.class !== "at") throw scopeError(key, "class", key.scope.class, "at");
    const rule = ruleForKey(key, this.#policy.rules);
    if (key.scope.issuanceFloor === "stapled")
      throw new TokenError(
        "ERR_ISSUANCE_UNSUPPORTED",
        `Key ${kid} demands a stapled proof of issuance`,
      );
    return { header, key, rule, verifiedKey: Object.freeze({ kid, alg, realm, issuer }) };
  }

  /** Nothing that was decided with the old keys outlives them. */
  #followTrust(): void {
    if (this.#trust.keys === this.#keys) return;
    this.#keys = this.#trust.keys;
    this.#tokens.clear();
    this.#headers.clear();
  }

  status(): VerifierStatus {
    return describeVerifier({
      trust: this.#trust,
      policy: this.#policy,
      accepted: this.#accepted,
      cacheHits: this.#cacheHits,
      cacheSize: this.#tokens.size,
      refused: this.#refused,
      isClosed: this.#isClosed,
    });
  }

  async reload(): Promise<void> {
    await this.#trust.reload();
  }

  close(): void {
    this.#isClosed = true;
    this.#trust.close();
    this.#tokens.clear();
    this.#headers.clear();
    this.#buffers.wipe();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** RFC 7515 §3.1: three segments. RFC 8725 §3.3: five would be a JWE. */
function splitToken(token: string): readonly [string, string, string] {
  const first = token.indexOf(".");
  const second = token.indexOf(".", first + 1);
  if (first === -1 || second === -1 || token.includes(".", second + 1))
    throw new TokenError("ERR_JWS_INVALID", "Token does not have three segments");
  return [token.slice(0, first), token.slice(first + 1, second), token.slice(second + 1)];
}

// P7: fails closed when nobody vouches for the key any more.
function checkFresh(key: TrustedKey, nowMs: number): void {
  if (!key.isFresh(nowMs))
    throw new TokenError("ERR_TRUST_STALE", "Trust data is older than allowed");
}

/** P4: every distinct token, by digest. The signing input only where a signature cannot be checked without it. */
function report(
  reporter: ReportSink | undefined,
  { digest, key, payload }: VerifiedToken,
  signature: Buffer,
  signingInput: Buffer,
): void {
  reporter?.add({
    digest,
    kid: key.kid,
    alg: key.alg,
    signature: signature.toString("base64url"),
    expiresAt: payload.exp,
    ...(key.alg === "Ed25519" ? { signingInput: signingInput.toString("latin1") } : {}),
  });
}
