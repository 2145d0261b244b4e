import { hash } from "node:crypto";
import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import { Base64urlError, decodeBase64url } from "@redoubt/verify/base64url";
import { JsonError, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { issuerFor } from "@redoubt/verify/record";
import type { IssuedToken } from "@redoubt/wire";
import { isDrillAudience } from "../keys/drill-key.ts";
import type { RingKey } from "../keys/key-ring.ts";
import { checkKeyCovers, type PolicyInput } from "./policy.ts";
import type { UnsignedToken } from "./token.ts";

/** What an exact payload says. Every value is the caller's and unchecked until `decideExact` has compared it. */
export interface ExactClaims {
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  readonly issuedAt: number;
  readonly notBefore: number;
  readonly expires: number;
  readonly jti: string;
}

/** What one caller may have signed: (realm, tenant, class) and the rules of one protocol. */
export interface ExactHandle {
  readonly tenant: string;
  readonly class: "at" | "oidc";
  /** Who asks, as it stands in the sealed body and in budgets. */
  readonly client: string;
  /** The header's segment for a key: no caller chooses what is in it. */
  readonly header: (alg: string, kid: string) => string;
  /** The audiences of the registry's tenant, or any, or these and no other. */
  readonly audiences: "tenant" | "any" | readonly string[];
  readonly maxLifetimeSeconds: number;
  /**
   * The protocol's own rules: which members there may be, and which values belong together.
   *
   * @throws ServiceError `ERR_REQUEST_MEMBER`, `ERR_SIGNER_CLAIMS`
   */
  readonly parse: (payload: JsonObject) => ExactClaims;
}

/**
 * 6 KiB decoded. Together with the rest of its sealed body, 256 of them (one batch) stay within one frame of the
 * ledger's; a claim set that a person or a cluster needs is a tenth of it.
 */
const MAX_PAYLOAD_CHARACTERS = 8192;
const MAX_PAYLOAD_DEPTH = 4;
/** ARCHITECTURE §5.1. */
const MAX_IAT_OFF_SECONDS = 5;
/** A caller made the claims before it waited for this signer: a minute for a client of kube-apiserver, 20 s for its front. */
const MAX_WAIT_SECONDS = 90;

interface ExactBytes {
  readonly caller: string;
  readonly payload: string;
  /** What the caller took for the header; absent where it leaves that to the signer. */
  readonly header?: string;
  readonly nowSeconds: number;
}

/**
 * P2 for bytes that the caller built: they are parsed strictly and held against the handle, and signed only as the
 * handle could have produced them; nothing is corrected. The header is ours: no caller names a key or an algorithm.
 *
 * @throws ServiceError
 */
export function decideExact(
  input: PolicyInput,
  handle: ExactHandle,
  request: ExactBytes,
): UnsignedToken {
  const payload = parsePayload(request.payload);
  const claims = handle.parse(payload);
  checkTenant(input, handle);
  checkAudiences(input, handle, claims);
  checkTimes(claims, request.nowSeconds);
  const key = input.activeKey(handle.tenant, handle.class);
  if (!key) throw new ServiceError("ERR_SIGNER_NO_KEY", "No active key for this handle", RETRY);
  checkScope(input, handle, claims, key);
  const header = handle.header(key.record.alg, key.kid);
  // The key changed meanwhile, as keys do: the caller builds its token anew.
  if (request.header !== undefined && request.header !== header)
    throw new ServiceError("ERR_SIGNER_NO_KEY", "Header is not the active key's", RETRY);
  checkWait(claims, request.nowSeconds);
  return unsignedToken(handle, claims, { ...request, header, context: payload, key });
}

const RETRY = { fields: { retryAfterSeconds: 1 } } as const;

function parsePayload(segment: string): JsonObject {
  if (segment.length > MAX_PAYLOAD_CHARACTERS)
    throw refusal("ERR_REQUEST_MEMBER", `Claims are over ${MAX_PAYLOAD_CHARACTERS} characters`);
  try {
    // Both readers are strict: if one text could be read in two ways, other claims might be signed than were checked.
    return parseJsonObject(decodeBase64url(segment), { maxDepth: MAX_PAYLOAD_DEPTH });
  } catch (cause) {
    if (!(cause instanceof JsonError) && !(cause instanceof Base64urlError)) throw cause;
    throw new ServiceError("ERR_REQUEST_MEMBER", `Claims: ${cause.message}`, { cause });
  }
}

function checkTenant({ realm, registry }: PolicyInput, { tenant }: ExactHandle): void {
  if (registry.tenants.get(`${realm}/${tenant}`)?.status !== "active")
    throw refusal("ERR_SIGNER_HANDLE", "Handle tenant is not active in this realm");
}

function checkAudiences(
  { realm, registry }: PolicyInput,
  handle: ExactHandle,
  { audiences }: ExactClaims,
): void {
  const allowed =
    typeof handle.audiences === "string"
      ? (registry.tenants.get(`${realm}/${handle.tenant}`)?.audiences ?? [])
      : handle.audiences;
  const isAllowed = (audience: string): boolean =>
    !isDrillAudience(audience) && (handle.audiences === "any" || allowed.includes(audience));
  // A token without an audience would be for everybody (RFC 8725 §3.9).
  if (audiences.length === 0 || !audiences.every(isAllowed))
    throw refusal("ERR_SIGNER_AUDIENCE", "Audience is not one of the handle's");
}

function checkTimes({ issuedAt, notBefore, expires }: ExactClaims, now: number): void {
  // A token that is dated back falls into a time that the monitor has judged already. One that is dated ahead could be
  // kept and used later.
  const isAhead = issuedAt > now + MAX_IAT_OFF_SECONDS;
  if (isAhead || issuedAt < now - MAX_WAIT_SECONDS || notBefore !== issuedAt)
    throw refusal("ERR_SIGNER_TIME", "Token is not dated now");
  if (expires <= issuedAt) throw refusal("ERR_SIGNER_TTL", "Token ends before it begins");
}

/**
 * Not signed either, and no alarm: after an outage honest requests come late, and alarms about them would hide others.
 * Decided last, so that claims which are wrong in another way, too, are an alarm.
 */
function checkWait({ issuedAt }: ExactClaims, now: number): void {
  if (now - issuedAt > MAX_IAT_OFF_SECONDS)
    throw new ServiceError("ERR_SIGNER_LATE", "Claims waited for too long: ask anew", RETRY);
}

/** P1: the key's own record has the last word, as for every other token. */
function checkScope(
  { realm }: PolicyInput,
  handle: ExactHandle,
  { issuer, audiences, issuedAt, expires }: ExactClaims,
  { record }: RingKey,
): void {
  checkKeyCovers(record, { ...handle, realm });
  // THREAT-01: equal as text; an issuer that is only similar is another one.
  if (issuer !== issuerFor(record, handle.tenant))
    throw refusal("ERR_SIGNER_HANDLE", "Issuer is not the handle's");
  const { audiences: scope } = record;
  if (scope !== "any" && !audiences.every((audience) => scope.includes(audience)))
    throw refusal("ERR_SIGNER_AUDIENCE", "Key scope does not cover this audience");
  const maxSeconds = Math.min(record.maxLifetimeSeconds, handle.maxLifetimeSeconds);
  if (expires - issuedAt > maxSeconds)
    throw refusal("ERR_SIGNER_TTL", `Lifetime is over ${maxSeconds} s`);
  // THREAT-02: verifiers compare `iat` with the window. At its edge this is no attack: the next key signs soon.
  if (issuedAt < record.signFrom || issuedAt > record.signUntil || expires > record.verifyUntil)
    throw new ServiceError("ERR_SIGNER_NO_KEY", "Key does not cover this time", RETRY);
}

interface Decided {
  readonly caller: string;
  readonly payload: string;
  readonly header: string;
  readonly context: JsonObject;
  readonly key: RingKey;
}

function unsignedToken(
  { tenant, client }: ExactHandle,
  { issuer, subject, audiences, issuedAt, expires, jti }: ExactClaims,
  { caller, payload, header, context, key }: Decided,
): UnsignedToken {
  const signingInput = `${header}.${payload}`;
  const grant = {
    key,
    issuer,
    tenant,
    client,
    subject,
    audience: audiences.join(" "),
    scope: undefined,
    ttlSeconds: expires - issuedAt,
    // The claims as they were signed: what an auditor who opens the body wants to see.
    context,
  };
  const digest = hash("sha256", signingInput, "buffer");
  return { key, grant, caller, signingInput, digest, jti, iat: issuedAt, exp: expires };
}

function refusal(code: string, message: string): ServiceError {
  return new ServiceError(code, message);
}

export interface ExactSignerOptions {
  readonly policyInput: PolicyInput;
  readonly budgets: { take(caller: string, tenant: string, client: string): void };
  readonly mint: {
    check(): void;
    issue(unsigned: UnsignedToken): Promise<IssuedToken>;
  };
  readonly clock: Clock;
  /** Throws while the registry cannot be relied on. */
  readonly checkRegistry: () => void;
  /** Throws while nothing can be committed: sooner than a commit would. */
  readonly checkLog: () => void;
}

/** Signs exact bytes by the path of every other token: decision, budget, log, and only then the key (P3). */
export class ExactSigner {
  readonly #options: ExactSignerOptions;

  constructor(options: ExactSignerOptions) {
    this.#options = options;
  }

  /**
   * @param handleOf asked once the registry may be relied on
   * @throws ServiceError
   */
  async sign(
    request: Omit<ExactBytes, "nowSeconds">,
    handleOf: (input: PolicyInput) => ExactHandle,
  ): Promise<IssuedToken> {
    const { policyInput, budgets, mint, clock } = this.#options;
    this.#options.checkRegistry();
    // With a wrong clock each honest request would look as if it were dated back.
    mint.check();
    this.#options.checkLog();
    const handle = handleOf(policyInput);
    const unsigned = decideExact(policyInput, handle, {
      ...request,
      nowSeconds: nowSeconds(clock),
    });
    budgets.take(request.caller, handle.tenant, handle.client);
    return mint.issue(unsigned);
  }
}
