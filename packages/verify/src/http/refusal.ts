import { encodeChallenge, type ChallengeParameters } from "./challenge.ts";
import type { ProtectedResource } from "./resource-metadata.ts";
import type { Requirement } from "./scopes.ts";

/** The whole answer to a request that is not let through. Whatever the reason, two with the same error are the same. */
export interface Refusal {
  readonly ok: false;
  readonly status: 400 | 401 | 403 | 503;
  readonly headers: Readonly<Record<string, string>>;
  /** RFC 9457; nothing about the token. */
  readonly body: string;
}

/** What the challenge of a refusal names; the part of the policy that `requireScope` needs, too. */
export interface ChallengePolicy {
  readonly realm: string | undefined;
  readonly resource: ProtectedResource | undefined;
  readonly dpopAlgorithms: readonly string[] | undefined;
}

const TITLES = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  503: "Service Unavailable",
} as const;

/** RFC 6750 §3.1: a request without a token gets a challenge, and no error code. */
export function refuseUnauthenticated(policy: ChallengePolicy): Refusal {
  return refuse(401, challenges(policy, {}));
}

/** RFC 6750 §3.1: two methods, two headers, or text that is no token. */
export function refuseMalformed(policy: ChallengePolicy): Refusal {
  return refuse(400, challenges(policy, { error: "invalid_request" }));
}

/** RFC 6750 §3.1, P1: bad signature, unknown key, wrong realm and expired all look alike. */
export function refuseToken(policy: ChallengePolicy): Refusal {
  return refuse(401, challenges(policy, { error: "invalid_token" }));
}

/**
 * RFC 6750 §3.1: the token is good and grants too little. The challenge names the scopes; it has no place for roles.
 */
export function refuseGrant(policy: ChallengePolicy, { scopes }: Requirement): Refusal {
  const scope = scopes.length === 0 ? {} : { scope: scopes.join(" ") };
  return refuse(403, challenges(policy, { error: "insufficient_scope", ...scope }));
}

/** RFC 9110 §15.6.4: the token is not at fault. */
export function refuseForNow(retryAfterSeconds: number): Refusal {
  return refuse(503, { "retry-after": String(retryAfterSeconds) });
}

function challenges(
  { realm, resource, dpopAlgorithms }: ChallengePolicy,
  parameters: ChallengeParameters,
): Readonly<Record<string, string>> {
  const common = {
    ...(realm === undefined ? {} : { realm }),
    ...(resource === undefined ? {} : { resource_metadata: resource.url }),
    ...parameters,
  };
  const bearer = encodeChallenge("Bearer", common);
  // RFC 9449 §7.1: both are offered, each with its parameters.
  const dpop =
    dpopAlgorithms === undefined
      ? []
      : [encodeChallenge("DPoP", { ...common, algs: dpopAlgorithms.join(" ") })];
  return { "www-authenticate": [bearer, ...dpop].join(", ") };
}

function refuse(status: Refusal["status"], headers: Readonly<Record<string, string>>): Refusal {
  return {
    ok: false,
    status,
    headers: {
      "content-type": "application/problem+json",
      // RFC 6750 §5.3: no cache may give this answer to somebody else.
      "cache-control": "no-store",
      ...headers,
    },
    body: JSON.stringify({ title: TITLES[status], status }),
  };
}
