import type { VerifiedToken } from "../verified-token.ts";
import {
  refuseGrant,
  refuseUnauthenticated,
  type ChallengePolicy,
  type Refusal,
} from "./refusal.ts";
import { isGranted, type Requirement } from "./scopes.ts";

/** The refusal for a request whose token does not grant what is required, or that has none; undefined: let it pass. */
export function refusalOf(
  token: VerifiedToken | null | undefined,
  requirement: Requirement,
  policy: ChallengePolicy = NO_POLICY,
): Refusal | undefined {
  if (token === undefined || token === null) return refuseUnauthenticated(policy);
  return isGranted(token, requirement) ? undefined : refuseGrant(policy, requirement);
}

const NO_POLICY = { realm: undefined, resource: undefined, dpopAlgorithms: undefined } as const;
