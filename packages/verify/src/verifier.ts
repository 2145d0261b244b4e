import { hash } from "node:crypto";
import { SenderCheck, type SenderContext } from "./binding.ts";
import { checkConfirmation } from "./confirmation.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import {
  checkForeignTimes,
  checkForeignToken,
  checkIdToken,
  checkTyp,
  readForeignHeader,
  type ForeignHeader,
  type IdTokenExpectation,
} from "./profile-token.ts";
import type { TokenKind } from "./report-counts.ts";
import type { ReportSink } from "./report-queue.ts";
import type { KeyAlgorithm } from "./public-key.ts";
import { SignatureCheck } from "./signature.ts";
import { TokenBuffers } from "./token-buffers.ts";
import { TokenCache } from "./token-cache.ts";
import { checkClaims, checkTimes, isText, type TokenPayload } from "./token-claims.ts";
import { TokenError, type TokenErrorCode } from "./token-error.ts";
import { checkHeader, parseUnverifiedHeader, type RecordHeader } from "./token-header.ts";
import { decodeSegment, parseSegment } from "./token-json.ts";
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

/** Decides about tokens, without any network. */
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
  /**
   * Verifies one ID token of an issuer with a profile, for the relying party that asked for it (OpenID Connect Core
   * §3.1.3.7). It says who logged in here; it gives access to nothing.
   *
   * @throws TokenError; TypeError for an expectation that says nothing
   */
  verifyIdToken(token: string, expected: IdTokenExpectation): VerifiedToken;
  /** Whether an issuer (every one, where none is named) has keys that count now. */
  isReady(issuer?: string): boolean;
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

/**
 * The key and rule that a header leads to; remembered by the header's text once a token with it had a good signature.
 */
interface ResolvedHeader {
  readonly header: RecordHeader;
  readonly key: TrustedKey;
  readonly rule: CheckedRule;
  readonly verifiedKey: VerifiedKey;
  /** Whether no other key has this kid, so that the header alone leads here. */
  readonly isOnly: boolean;
}

interface CachedToken {
  readonly token: VerifiedToken;
  readonly key: TrustedKey;
}

const MAX_HEADERS = 64;
/** For ID tokens: no proof comes with one, so one that is bound to a key (`cnf`) is refused. */
const UNBOUND = { dpop: undefined, mtls: false, required: false } as const;

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
  /** Issuer template of the key that the token at hand names; for the counts. */
  #issuer: string | undefined;
  #accepted = 0;
  #cacheHits = 0;
  #isClosed = false;

  constructor(policy: VerifierPolicy, trust: TrustReader) {
    this.#policy = policy;
    this.#trust = trust;
    this.#keys = trust.keys;
    this.#tokens = new TokenCache(policy.cacheMax, policy.cacheMaxBytes);
    this.#buffers = new TokenBuffers(policy.maxTokenLength);
    this.#senders = new SenderCheck(policy.binding, policy.now);
  }

  verify(token: string, context?: SenderContext): VerifiedToken {
    return this.#counted("at", () => {
      const result = this.#verify(token);
      this.#senders.check(token, result.payload, context);
      return result;
    });
  }

  #counted(kind: TokenKind, decide: () => VerifiedToken): VerifiedToken {
    try {
      const result = decide();
      this.#countAccepted(kind, result);
      return result;
    } catch (error) {
      this.#countRefusal(kind, this.#issuer, error);
      throw error;
    }
  }

  async verifyAsync(token: string, context?: SenderContext): Promise<VerifiedToken> {
    let issuer: string | undefined;
    try {
      const result = this.#verify(token);
      ({ issuer } = result.key);
      await this.#senders.checkAsync(token, result.payload, context);
      this.#refuseClosed();
      this.#countAccepted("at", result);
      return result;
    } catch (error) {
      // `#issuer` may be another token's by now: others were verified while this one waited.
      this.#countRefusal("at", issuer ?? this.#issuer, error);
      throw error;
    }
  }

  #countAccepted(kind: TokenKind, { key: { issuer } }: VerifiedToken): void {
    this.#accepted += 1;
    this.#policy.reporter?.count?.({ kind, issuer });
  }

  #countRefusal(kind: TokenKind, issuer: string | undefined, error: unknown): void {
    if (!(error instanceof TokenError)) return;
    this.#refused.set(error.code, (this.#refused.get(error.code) ?? 0) + 1);
    this.#policy.reporter?.count?.({ kind, issuer, refusal: error.code });
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new TokenError("ERR_VERIFIER_CLOSED", "Verifier is closed");
  }

  /** What every decision begins with. Returns the time in milliseconds. */
  #begin(token: string): number {
    this.#issuer = undefined;
    this.#refuseClosed();
    const nowMs = this.#policy.now();
    // NaN would be neither before nor after any time.
    if (!Number.isFinite(nowMs)) throw new RangeError("now() returned no time");
    if (typeof token !== "string") throw new TokenError("ERR_JWS_INVALID", "Token is not a string");
    if (token.length > this.#policy.maxTokenLength)
      throw new TokenError("ERR_TOKEN_TOO_LARGE", "Token is longer than maxTokenLength");
    this.#followTrust();
    return nowMs;
  }

  #verify(token: string): VerifiedToken {
    const nowMs = this.#begin(token);
    // Of the whole token: the same signing input may come again with a wrong signature.
    const cacheKey = this.#policy.cacheMax === 0 ? "" : hash("sha256", token, "binary");
    const known = this.#tokens.get(cacheKey);
    if (known !== undefined) return this.#recheck(known, cacheKey, nowMs);
    const { key, result } = this.#verifyNew(token, nowMs);
    this.#tokens.set(cacheKey, { token: result, key }, weightOf(token));
    return result;
  }

  #verifyNew(
    token: string,
    nowMs: number,
  ): { readonly key: TrustedKey; readonly result: VerifiedToken } {
    const nowSeconds = Math.floor(nowMs / 1000);
    const segments = splitToken(token);
    const [headerText, payloadText, signatureText] = segments;
    const remembered = this.#headers.get(headerText);
    const resolved = remembered ?? this.#resolve(segments);
    if ("foreign" in resolved) {
      const { key, payload, ...signed } = this.#openForeign(
        token,
        segments,
        resolved.foreign,
        nowMs,
      );
      const { profile } = key.declaration ?? noDeclaration();
      checkTyp(resolved.foreign.typ, profile.typ);
      const rule = ruleFor(key, this.#policy.rules);
      const tenantId = checkForeignToken(payload, this.#policy, { key, profile, rule, nowMs });
      checkConfirmation(payload, this.#policy.binding);
      return { key, result: sealForeign({ ...signed, payload, tenantId }, resolved.foreign, key) };
    }
    const { header, key, rule, verifiedKey } = resolved;
    this.#issuer = verifiedKey.issuer;
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
    if (remembered === undefined && resolved.isOnly)
      this.#headers.set(Buffer.from(headerText, "latin1").toString("latin1"), resolved);
    checkClaims(payload, claims, this.#policy, nowSeconds);
    // Without the signature: anybody can turn an ECDSA signature into a second valid one, and both are the same token.
    const digest = hash("sha256", signingInput, "base64url");
    const result = sealVerifiedToken({
      payload,
      protectedHeader: header,
      key: verifiedKey,
      tenantId: claims.tid,
      digest,
    });
    report(this.#policy.reporter, result, header.alg, { signature, signingInput });
    return { key, result };
  }

  // P1, THREAT-02: a cached token is checked again for all that time or trust data can change.
  #recheck(known: CachedToken, cacheKey: string, nowMs: number): VerifiedToken {
    const nowSeconds = Math.floor(nowMs / 1000);
    const { payload } = known.token;
    this.#issuer = known.token.key.issuer;
    try {
      checkFresh(known.key, nowMs);
      const { clockToleranceSeconds } = this.#policy;
      if (known.key.declaration)
        checkForeignTimes(payload, known.key, clockToleranceSeconds, nowMs);
      else checkTimes(payload, payload, clockToleranceSeconds, nowSeconds);
      const { verifyUntil } = known.key.scope;
      if (nowSeconds >= verifyUntil)
        throw scopeError(known.key, "window", nowSeconds, `now before ${verifyUntil}`);
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

  #resolve([headerText, payloadText]: Segments):
    | ResolvedHeader
    | { readonly foreign: ForeignHeader } {
    const unverified = parseUnverifiedHeader(headerText);
    const { kid: name } = unverified;
    const keys = (typeof name === "string" && this.#keys.get(name)) || [];
    // Where all are of issuers with a profile, `#foreignKey` chooses: by then the payload was read anyway.
    const isDecided = keys.length < 2 || keys.every(({ declaration }) => declaration);
    const key = isDecided ? keys[0] : chooseKey(keys, issuerIn(payloadText));
    const isForeign = key ? key.declaration : this.#trust.hasProfiles;
    const foreign = isForeign ? readForeignHeader(unverified) : undefined;
    if (
      foreign &&
      // mutate: whoever opens the token looks again, and says the same.
      key
    )
      return { foreign };
    if (foreign) throw this.#unknownKey(payloadText);
    const header = checkHeader(unverified);
    // P7, THREAT-09: an unknown kid is an answer, not a reason to fetch.
    if (key === undefined) throw this.#unknownKey(payloadText);
    const { kid, alg, realm, issuer } = key.scope;
    this.#issuer = issuer;
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
    const verifiedKey = Object.freeze({ kid, alg, realm, issuer });
    return { header, key, rule, verifiedKey, isOnly: keys.length === 1 };
  }

  verifyIdToken(token: string, expected: IdTokenExpectation): VerifiedToken {
    const { clientId, nonce } = expected;
    if (!isText(clientId) || (nonce !== null && !isText(nonce)))
      throw new TypeError("verifyIdToken: expected a clientId, and a nonce or null");
    return this.#counted("id", () => {
      const nowMs = this.#begin(token);
      const segments = splitToken(token);
      const header = readForeignHeader(parseUnverifiedHeader(segments[0]));
      const { key, payload, ...signed } = this.#openForeign(token, segments, header, nowMs);
      const { profile } = key.declaration ?? noDeclaration();
      checkTyp(header.typ, profile.idToken.typ);
      const rule = ruleFor(key, this.#policy.rules);
      const { clockToleranceSeconds } = this.#policy;
      const check = { key, profile, rule, nowMs };
      checkConfirmation(payload, UNBOUND);
      const tenantId = checkIdToken(payload, expected, clockToleranceSeconds, check);
      return sealForeign({ ...signed, payload, tenantId }, header, key);
    });
  }

  isReady(issuer?: string): boolean {
    return !this.#isClosed && this.#trust.isReady(issuer);
  }

  /** Finds the key of a token of an issuer with a profile and checks the signature. Claims are not checked yet. */
  #openForeign(
    token: string,
    segments: Segments,
    header: ForeignHeader,
    nowMs: number,
  ): OpenedToken {
    const [headerText, payloadText, signatureText] = segments;
    const buffers = this.#buffers;
    buffers.load(token);
    const signature = buffers.signature(signatureText);
    const payload = buffers.payload(payloadText);
    if (!isJsonObject(payload))
      throw new TokenError("ERR_JWT_INVALID", "Token payload is not an object");
    const key = this.#foreignKey(header, payload, payloadText);
    this.#issuer = key.scope.issuer;
    checkFresh(key, nowMs);
    const signingInput = buffers.signingInput(headerText.length + 1 + payloadText.length);
    if (!this.#signatures.isSignedBy(key, signingInput, signature))
      throw new TokenError("ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "Token signature is wrong");
    return { key, payload, digest: hash("sha256", signingInput, "base64url") };
  }

  /**
   * Kids of several issuers may be the same. What the token says of its issuer only chooses between their keys, and
   * each key is asked afterwards whether it may sign for that one.
   */
  #foreignKey({ kid, alg }: ForeignHeader, payload: JsonObject, payloadText: string): TrustedKey {
    const all = (this.#keys.get(kid) ?? []).filter((key) => key.declaration !== undefined);
    const [first] = all;
    if (first === undefined) throw this.#unknownKey(payloadText);
    const candidates = keysOf(all, payload["iss"]);
    const found = candidates.find((key) => key.scope.alg === alg);
    if (found) return found;
    throw scopeError(
      candidates[0] ?? first,
      "alg",
      alg,
      candidates.map((key) => key.scope.alg).join(" or "),
    );
  }

  /**
   * The error for an unknown kid. If the issuer that the token names has no keys now, the kid may be right: then 503.
   * Tells
   * the trust source, which may load the keys of an issuer with a profile again, in the background.
   */
  #unknownKey(payloadText: string): TokenError {
    const iss = issuerIn(payloadText);
    if (iss !== undefined && this.#trust.missed?.(iss) === true)
      return new TokenError("ERR_ISSUER_NOT_READY", "The issuer's keys could not be loaded yet");
    return new TokenError("ERR_JWKS_NO_MATCHING_KEY", "Token header: no trusted key has this kid");
  }

  /** When the keys changed, forgets what was decided with the old ones. */
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

/** The keys whose issuer fits `iss`; all of them where none does, so that the scope check can say what is wrong. */
function keysOf(keys: readonly TrustedKey[], iss: JsonValue | undefined): readonly TrustedKey[] {
  const own = keys.filter((key) => typeof iss === "string" && key.isOf(iss));
  return own.length > 0 ? own : keys;
}

function chooseKey(keys: readonly TrustedKey[], iss: string | undefined): TrustedKey | undefined {
  return keysOf(keys, iss)[0];
}

/**
 * What a token takes in the cache, about: its claims as objects. Measured: 0.7 to 3.7 bytes for each character, most
 * with many short claims.
 */
function weightOf({ length }: string): number {
  return 512 + 4 * length;
}

type Segments = readonly [string, string, string];

/** A token with a good signature; nothing else of it was checked. */
interface OpenedToken {
  readonly key: TrustedKey;
  readonly payload: JsonObject;
  readonly digest: string;
}

function noDeclaration(): never {
  throw new TypeError("A key of an issuer with a profile has a declaration");
}

/** Without `accept`, every issuer that was declared is accepted. */
function ruleFor(key: TrustedKey, rules: VerifierPolicy["rules"]): CheckedRule | undefined {
  return rules === undefined ? undefined : ruleForKey(key, rules);
}

function sealForeign(
  { payload, tenantId, digest }: Omit<OpenedToken, "key"> & { readonly tenantId: string | null },
  protectedHeader: ForeignHeader,
  { scope: { kid, alg, realm, issuer } }: TrustedKey,
): VerifiedToken {
  const key = Object.freeze({ kid, alg, realm, issuer });
  const header = Object.freeze(protectedHeader);
  return sealVerifiedToken({
    payload: asPayload(payload),
    protectedHeader: header,
    key,
    tenantId,
    digest,
  });
}

/** The payload with the claims that `profile-token.ts` has checked. */
function asPayload(payload: JsonObject): TokenPayload {
  const { iss, sub, exp, iat } = payload;
  if (
    // mutate: checked before; for the compiler.
    typeof iss === "string" &&
    // mutate: checked before; for the compiler.
    typeof sub === "string" &&
    // mutate: checked before; for the compiler.
    typeof exp === "number" &&
    // mutate: checked before; for the compiler.
    typeof iat === "number"
  )
    return { ...payload, iss, sub, exp, iat };
  throw new TypeError("Claims were checked before");
}

/** The `iss` of a token that nobody has verified; undefined if it cannot be read. */
function issuerIn(payloadText: string): string | undefined {
  try {
    const payload = parseSegment(decodeSegment(payloadText, "payload"), "payload");
    const iss = isJsonObject(payload) ? payload["iss"] : undefined;
    return typeof iss === "string" ? iss : undefined;
  } catch (error) {
    if (error instanceof TokenError) return undefined;
    throw error;
  }
}

/** RFC 7515 §3.1: three segments. RFC 8725 §3.3: five would be a JWE. */
function splitToken(token: string): Segments {
  const first = token.indexOf(".");
  const second = token.indexOf(".", first + 1);
  if (second === -1 || token.includes(".", second + 1))
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
  alg: KeyAlgorithm,
  { signature, signingInput }: { readonly signature: Buffer; readonly signingInput: Buffer },
): void {
  reporter?.add({
    digest,
    kid: key.kid,
    alg,
    signature: signature.toString("base64url"),
    expiresAt: payload.exp,
    issuedAt: payload.iat,
    ...(typeof payload.aud === "string" && { audience: payload.aud }),
    ...(alg === "Ed25519" ? { signingInput: signingInput.toString("latin1") } : {}),
  });
}
