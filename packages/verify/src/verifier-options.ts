import { checkBindingOptions, type BindingOptions, type BindingPolicy } from "./binding-options.ts";
import { isIssuerTemplate } from "./issuer-template.ts";
import { REPORT_LIMITS } from "./report-limits.ts";
import type { ReportSink } from "./report-queue.ts";
import { isAudience, isRealm } from "./scope-reader.ts";
import { isTenantId, type TenantId } from "./tenant.ts";
import type { TrustSource } from "./trust-source.ts";
import { integerOption, refuseUnknownMembers } from "./option-reader.ts";

/** Tokens of one issuer and realm that this service takes. */
export interface AcceptRule {
  /** The issuer template of the keys, character for character. */
  readonly issuer: string;
  readonly realm: string;
  /** Lower-case GUIDs, or `"any"` tenant that the key itself covers. */
  readonly tenants: "any" | readonly string[];
}

export interface VerifierOptions {
  readonly trust: TrustSource;
  /** What this service is called; `null` only together with `clientId`. */
  readonly audience: string | readonly string[] | null;
  /** Required unless every issuer of `trust` is declared with a profile: then each of them is accepted. */
  readonly accept?: readonly AcceptRule[];
  /**
   * Reports tokens of issuers without a profile to the monitor. With `"off"` nobody notices a token that nobody issued
   * (P4).
   */
  readonly issuance: "off" | { readonly mode: "audit"; readonly reporter: ReportSink };
  /** The only value there is; tokens of an issuer with a profile have what the profile says. */
  readonly typ?: "at+jwt";
  /**
   * Claims that must be there besides `iss sub aud exp iat jti tid`, or besides those that an issuer's profile demands.
   */
  readonly requiredClaims?: readonly string[];
  /** For `exp`, `nbf` and `iat`. Default 60, at most 300. */
  readonly clockToleranceSeconds?: number;
  /** Characters. Default 16384; at most 1048576, and 131072 where tokens are reported. */
  readonly maxTokenLength?: number;
  /**
   * If given, the token's client must equal it: the claim `client_id`, or what an issuer's profile has
   * (`clientClaims`).
   */
  readonly clientId?: string;
  /** How senders prove that a token is theirs. Default `"off"`: tokens with `cnf` are refused. */
  readonly binding?: "off" | BindingOptions;
  /** Tokens remembered after they were verified; default 10000 and about 64 MiB, `max: 0` for none. */
  readonly cache?: { readonly max: number; readonly maxBytes?: number };
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** Options after every check, in the form that verification asks. */
export interface VerifierPolicy {
  readonly audiences: ReadonlySet<string> | null;
  /** Undefined: every issuer of the trust source is accepted; all of them have a profile. */
  readonly rules: readonly CheckedRule[] | undefined;
  readonly reporter: ReportSink | undefined;
  readonly requiredClaims: readonly string[];
  readonly clockToleranceSeconds: number;
  readonly maxTokenLength: number;
  readonly clientId: string | undefined;
  readonly binding: BindingPolicy;
  readonly cacheMax: number;
  readonly cacheMaxBytes: number;
  readonly now: () => number;
}

export interface CheckedRule {
  readonly issuer: string;
  readonly realm: string;
  readonly tenants: ReadonlySet<TenantId> | "any";
}

const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;
const MAX_CACHE_BYTES = 4 * 1024 * 1024 * 1024;

const NAMES = [
  "trust",
  "audience",
  "accept",
  "issuance",
  "typ",
  "requiredClaims",
  "clockToleranceSeconds",
  "maxTokenLength",
  "clientId",
  "binding",
  "cache",
  "now",
];

/**
 * Checks what the programmer wrote. Which tokens count, for whom, and whether they are reported has no default.
 *
 * @throws TypeError for an unknown option, a missing one, a value out of range, or rules that contradict
 */
export function checkVerifierOptions(options: VerifierOptions): VerifierPolicy {
  refuseUnknownMembers(options, NAMES, "option");
  if (typeof options.trust?.open !== "function") throw new TypeError("trust: not a trust source");
  if (options.typ !== undefined && options.typ !== "at+jwt")
    throw new TypeError('typ: only "at+jwt" is supported');
  const { clientId, now = Date.now, requiredClaims = [] } = options;
  if (clientId !== undefined && (typeof clientId !== "string" || clientId === ""))
    throw new TypeError("clientId: not a string");
  if (typeof now !== "function") throw new TypeError("now: not a function");
  if (!isStringList(requiredClaims)) throw new TypeError("requiredClaims: not strings");
  const reporter = checkIssuance(options.issuance);
  // P4: what the monitor cannot judge is not accepted.
  const longest = reporter === undefined ? 1_048_576 : REPORT_LIMITS.signingInputChars;
  return {
    audiences: checkAudience(options.audience, clientId),
    rules: checkAccept(options),
    reporter,
    requiredClaims: [...requiredClaims],
    clockToleranceSeconds: integerOption(
      "clockToleranceSeconds",
      options.clockToleranceSeconds ?? 60,
      0,
      300,
    ),
    maxTokenLength: integerOption("maxTokenLength", options.maxTokenLength ?? 16_384, 64, longest),
    clientId,
    binding: checkBindingOptions(options.binding),
    ...checkCache(options.cache),
    now,
  };
}

// RFC 8725 §3.9: without an audience, a token for another service is good here.
function checkAudience(
  audience: VerifierOptions["audience"],
  clientId: string | undefined,
): ReadonlySet<string> | null {
  if (audience === null) {
    if (clientId === undefined) throw new TypeError("audience: null is allowed only with clientId");
    return null;
  }
  const list = typeof audience === "string" ? [audience] : audience;
  if (!Array.isArray(list) || list.length === 0 || !list.every(isAudience))
    throw new TypeError("audience: expected a string, strings, or null with clientId");
  return new Set(list);
}

// P1: no realm is accepted by default; an issuer with a profile was named in the configuration already.
function checkAccept({ accept, trust }: VerifierOptions): readonly CheckedRule[] | undefined {
  if (accept !== undefined) return checkRules(accept);
  if (trust.isProfiled === true) return undefined;
  throw new TypeError("accept: expected at least one rule");
}

function checkRules(accept: readonly AcceptRule[]): readonly CheckedRule[] {
  if (!Array.isArray(accept) || accept.length === 0)
    throw new TypeError("accept: expected at least one rule");
  const rules = accept.map(checkRule);
  for (const [i, rule] of rules.entries())
    if (rules.findIndex((r) => r.issuer === rule.issuer && r.realm === rule.realm) !== i)
      throw new TypeError(`accept[${i}]: a rule for this issuer and realm stands before it`);
  return rules;
}

function checkRule(rule: AcceptRule, index: number): CheckedRule {
  const where = `accept[${index}]`;
  refuseUnknownMembers(rule, ["issuer", "realm", "tenants"], where);
  if (!isIssuerTemplate(rule.issuer))
    throw new TypeError(`${where}.issuer: expected a URL that may hold {tenantid} once`);
  if (!isRealm(rule.realm)) throw new TypeError(`${where}.realm: not a realm name`);
  const { issuer, realm, tenants } = rule;
  if (tenants === "any") return { issuer, realm, tenants };
  if (!Array.isArray(tenants) || tenants.length === 0 || !tenants.every(isTenantId))
    throw new TypeError(`${where}.tenants: expected "any" or lower-case GUIDs`);
  return { issuer, realm, tenants: new Set(tenants) };
}

function checkIssuance(issuance: VerifierOptions["issuance"]): ReportSink | undefined {
  if (issuance === "off") return undefined;
  if (issuance?.mode !== "audit" || typeof issuance.reporter?.add !== "function")
    throw new TypeError('issuance: expected { mode: "audit", reporter } or "off"');
  refuseUnknownMembers(issuance, ["mode", "reporter"], "issuance");
  return issuance.reporter;
}

function checkCache(
  cache: VerifierOptions["cache"] = { max: 10_000 },
): Pick<VerifierPolicy, "cacheMax" | "cacheMaxBytes"> {
  refuseUnknownMembers(cache, ["max", "maxBytes"], "cache");
  const { max, maxBytes = DEFAULT_CACHE_BYTES } = cache;
  return {
    cacheMax: integerOption("cache.max", max, 0, 1_000_000),
    cacheMaxBytes: integerOption("cache.maxBytes", maxBytes, 1, MAX_CACHE_BYTES),
  };
}

function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string" && item !== "");
}
