import { ServiceError } from "@redoubt/base";

/** What the registry says of those whose approvals count. */
export interface Approvers {
  /** Why nothing can be decided by the registry; undefined where it can. */
  readonly problem: string | undefined;
  /** Whether anybody of the realm has an enrolled passkey. */
  readonly hasEnrolment: boolean;
}

/** Passes that the operator gives alone are said to be by it. */
export const OPERATOR = "operator";

/**
 * Who may issue a pass (M6, THREAT-18): the operator alone only as long as nobody of the realm has a passkey whose
 * approvals count. From then on a pass needs an approval, which names what is approved.
 *
 * @throws ServiceError `ERR_ISSUER_PRESENCE`, `ERR_ISSUER_REGISTRY`
 */
export function checkPassAuthority(issuedBy: string, { problem, hasEnrolment }: Approvers): void {
  // Enrolments that were kept from us must not look like none.
  if (problem !== undefined)
    throw new ServiceError("ERR_ISSUER_REGISTRY", "The registry cannot be relied on: try again");
  if (hasEnrolment)
    throw new ServiceError(
      "ERR_ISSUER_PRESENCE",
      "A pass needs two-step approval: an administrator has an enrolled passkey, and approves it",
    );
  if (issuedBy !== OPERATOR)
    throw new ServiceError("ERR_ISSUER_PRESENCE", "No such approval is known here");
}
