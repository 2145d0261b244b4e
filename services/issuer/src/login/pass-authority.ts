import { ServiceError } from "@redoubt/base";

/** What the registry says of those whose approvals count. */
export interface Approvers {
  /** Why nothing can be decided by the registry; undefined where it can. */
  readonly problem: string | undefined;
  /** Whether anybody of the realm has, or had, an enrolled passkey. */
  readonly hasEnrolment: boolean;
}

/** Passes that the operator gives alone are said to be by it. */
export const OPERATOR = "operator";

/**
 * The operator alone issues passes only as long as nobody of the realm ever had a passkey whose approvals count (M6,
 * THREAT-18). Who takes the last enrolment away gets nothing back by that.
 *
 * @throws ServiceError `ERR_ISSUER_PRESENCE`, `ERR_ISSUER_REGISTRY`
 */
export function checkOperatorAlone({ problem, hasEnrolment }: Approvers): void {
  // Enrolments that were kept from us must not look like none.
  if (problem !== undefined)
    throw new ServiceError("ERR_ISSUER_REGISTRY", "The registry cannot be relied on: try again");
  if (hasEnrolment)
    throw new ServiceError(
      "ERR_ISSUER_PRESENCE",
      "A pass needs an approval: an administrator has an enrolled passkey, and approves it",
    );
}
