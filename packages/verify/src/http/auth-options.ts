import type { SenderContext } from "../binding.ts";
import type { Verifier } from "../verifier.ts";
import { quotedString } from "./challenge.ts";
import type { RequestFacts } from "./credentials.ts";
import type { ChallengePolicy, Refusal } from "./refusal.ts";
import type { ProtectedResource } from "./resource-metadata.ts";
import { requiredRoles, requiredScopes, type Requirement, type RoleSource } from "./scopes.ts";
import { refuseUnknownMembers } from "../option-reader.ts";

/** Told of every refusal, for the log: `reason` is a TokenError, what `verifier` was rejected with, or undefined. */
export type RefusalListener = (refusal: Refusal, reason: unknown) => void;

export interface AuthOptions {
  /**
   * Until a promise is fulfilled, requests with a token get 503. Its rejection is yours to handle: here it is 503, too.
   */
  readonly verifier: Verifier | Promise<Verifier>;
  /** RFC 9728: named in challenges. */
  readonly resource?: ProtectedResource;
  /** Scopes and roles that every request needs, all of them. */
  readonly scopes?: readonly string[];
  readonly roles?: readonly string[];
  /** Default `"roles"`. */
  readonly roleSource?: RoleSource;
  /** RFC 9110 §11.5: the protection space, in challenges. Printable ASCII. */
  readonly realm?: string;
  /** Default 5. */
  readonly retryAfterSeconds?: number;
  /** Makes the verifier's second argument. Without it, or if it gives no `dpop`, the scheme DPoP is refused. */
  readonly context?: (request: RequestFacts) => SenderContext | undefined;
  /** RFC 9449 §7.1: offers DPoP in challenges. */
  readonly dpopAlgorithms?: readonly string[];
  readonly onRefused?: RefusalListener;
}

/** Options of middleware, which also sees what browsers ask before a request. */
export interface MiddlewareOptions extends AuthOptions {
  /** Lets CORS preflights through, which never carry a token, but no other OPTIONS request. Default false. */
  readonly allowPreflight?: boolean;
}

export type AsyncVerifier = Pick<Verifier, "verifyAsync">;

/** Options after every check. */
export interface AuthPolicy extends ChallengePolicy {
  readonly verifier: AsyncVerifier | Promise<AsyncVerifier>;
  readonly requirement: Requirement;
  readonly retryAfterSeconds: number;
  readonly context: AuthOptions["context"];
  readonly onRefused: RefusalListener | undefined;
}

const NAMES = [
  "verifier",
  "resource",
  "scopes",
  "roles",
  "roleSource",
  "realm",
  "retryAfterSeconds",
  "context",
  "dpopAlgorithms",
  "onRefused",
];

/**
 * Checks what the programmer wrote: a misspelt `scopes` must not mean that none is needed.
 *
 * @throws TypeError for an unknown option, a missing verifier, or a value that cannot stand in a challenge
 */
export function checkAuthOptions(options: AuthOptions, more: readonly string[] = []): AuthPolicy {
  refuseUnknownMembers(options, [...NAMES, ...more], "options");
  const { verifier, resource, scopes, roles, roleSource, realm, retryAfterSeconds = 5 } = options;
  const { context, dpopAlgorithms, onRefused } = options;
  if (!(verifier instanceof Promise) && typeof verifier?.verifyAsync !== "function")
    throw new TypeError("verifier: neither a verifier nor a promise of one");
  if (resource !== undefined && typeof resource.url !== "string")
    throw new TypeError("resource: not what protectedResourceMetadata() gives");
  if (!Number.isSafeInteger(retryAfterSeconds) || retryAfterSeconds < 0)
    throw new TypeError("retryAfterSeconds: expected an integer from 0");
  for (const text of [realm, resource?.url, ...(dpopAlgorithms ?? [])])
    if (text !== undefined) quotedString(text);
  if (roleSource !== undefined && roles === undefined)
    throw new TypeError("roleSource: allowed only with roles");
  const requirement = {
    scopes: scopes === undefined ? [] : requiredScopes(scopes).scopes,
    ...(roles === undefined ? NO_ROLES : rolePart(roles, roleSource)),
  };
  return {
    verifier: watched<AsyncVerifier>(verifier),
    resource,
    requirement,
    realm,
    retryAfterSeconds,
    context,
    dpopAlgorithms,
    onRefused,
  };
}

const NO_ROLES = { roles: [], roleSource: "roles" } as const;

function rolePart(
  names: readonly string[],
  source: RoleSource | undefined,
): Pick<Requirement, "roles" | "roleSource"> {
  const { roles, roleSource } = requiredRoles(names, source);
  return { roles, roleSource };
}

/** Before the first request nobody else may be listening, and an unhandled rejection would end the process. */
function watched<T extends object>(verifier: T | Promise<T>): T | Promise<T> {
  if (verifier instanceof Promise) verifier.catch(() => undefined);
  return verifier;
}
