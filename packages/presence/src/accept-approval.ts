import { encodeBase64url } from "@redoubt/verify/base64url";
import type { ActionName } from "./actions/index.ts";
import { verifyApprovers, type Approver, type Ceremony } from "./approvers.ts";
import type { Assertion } from "./assertion.ts";
import { reaches, type CredentialClass, type Enrolments } from "./enrolment.ts";
import { PresenceError } from "./presence-error.ts";
import { openStatement, type OpenedStatement, type PresenceStatement } from "./statement.ts";

/** A statement's clock may be this much ahead of that of whoever acts. */
export const MAX_SKEW_SECONDS = 30;

/** What was used once. Durable, and one for all who act on the same statements. */
export interface Consumed {
  /**
   * True for the first call with this hash, ever; false for every other one, also while the first is under way. The
   * entry may be forgotten some time after `expires` (POSIX seconds), by a clock that never goes back.
   */
  use(statementHash: string, expires: number): Promise<boolean>;
}

export interface ApprovalPolicy<A extends ActionName> {
  readonly action: A;
  /** The lowest class that counts. */
  readonly tier: CredentialClass;
  /** How many persons, at least 1. */
  readonly approvers: number;
  /** Persons, by their hash, who may not approve this: whoever asked for it, or gains by it. */
  readonly notBy: readonly string[];
  /** Since the statement was made. */
  readonly maxAgeSeconds: number;
}

export interface ApprovalRequest<A extends ActionName> {
  /** Canonical bytes. */
  readonly statement: Uint8Array;
  readonly assertions: readonly Assertion[];
  readonly policy: ApprovalPolicy<A>;
  readonly ceremony: Ceremony;
  readonly enrolments: Enrolments;
  readonly consumed: Consumed;
  /** POSIX seconds. */
  readonly now: number;
}

export interface Approved<A extends ActionName = ActionName> {
  /** What was approved: whoever acts does this, and takes no word of it from elsewhere. */
  readonly statement: PresenceStatement<A>;
  readonly statementHash: string;
  readonly approvers: readonly Approver[];
  readonly at: number;
}

/**
 * The one thing that whoever acts calls before it acts. Everything is checked first, and then the approval is used up:
 * of any number of calls with one statement, one gets it.
 *
 * @throws PresenceError
 */
export async function acceptApproval<A extends ActionName>({
  statement: bytes,
  assertions,
  policy,
  ceremony,
  enrolments,
  consumed,
  now,
}: ApprovalRequest<A>): Promise<Approved<A>> {
  checkPolicy(policy);
  const opened = openStatement(bytes);
  const { statement, challenge } = opened;
  if (!isOf(statement, policy.action))
    throw new PresenceError(
      "ERR_PRESENCE_ACTION",
      `Statement is of ${statement.action}, expected ${policy.action}`,
    );
  checkTime(opened, now, policy.maxAgeSeconds);
  const approvers = verifyApprovers(opened, assertions, { enrolments, ceremony, at: now });
  for (const approver of approvers) checkApprover(approver, policy);
  if (approvers.length < policy.approvers)
    throw new PresenceError(
      "ERR_PRESENCE_APPROVERS",
      `Approved by ${approvers.length}, expected ${policy.approvers}`,
    );
  const statementHash = encodeBase64url(challenge);
  // THREAT-20: the last step, so that nothing that is refused uses up what somebody approved.
  if (!(await consumed.use(statementHash, statement.expiresAt)))
    throw new PresenceError("ERR_PRESENCE_USED", "Approval was used before");
  return Object.freeze({ statement, statementHash, approvers, at: now });
}

/**
 * @throws PresenceError `ERR_PRESENCE_TIME` unless the statement counts at a time
 */
export function checkTime({ statement }: OpenedStatement, at: number, maxAge = Infinity): void {
  const { issuedAt, expiresAt } = statement;
  // Asked so that a time that is no number counts for nothing.
  const counts = at >= issuedAt - MAX_SKEW_SECONDS && at < expiresAt && at - issuedAt <= maxAge;
  if (!counts)
    throw new PresenceError("ERR_PRESENCE_TIME", "Statement does not count at this time");
}

/** A slip in a policy must not be one that lets everything through: NaN is greater than nothing. */
function checkPolicy({ approvers, maxAgeSeconds }: ApprovalPolicy<ActionName>): void {
  if (!Number.isSafeInteger(approvers) || approvers < 1)
    throw new RangeError("Approval policy: approvers must be 1 or more");
  if (!Number.isSafeInteger(maxAgeSeconds) || maxAgeSeconds < 1)
    throw new RangeError("Approval policy: maxAgeSeconds must be 1 or more");
}

function checkApprover(approver: Approver, policy: ApprovalPolicy<ActionName>): void {
  if (policy.notBy.includes(approver.person))
    throw new PresenceError("ERR_PRESENCE_APPROVERS", "Somebody approved who may not approve this");
  const { class: found, backupEligible } = approver;
  // A key that says now that it may be copied is not what was enrolled, whatever the registry says.
  const isCopied = backupEligible && found !== "verified";
  if (!reaches(found, policy.tier) || isCopied)
    throw new PresenceError(
      "ERR_PRESENCE_TIER",
      `Passkey is ${isCopied ? "not bound to a device" : found}, expected ${policy.tier}`,
    );
}

function isOf<A extends ActionName>(
  statement: PresenceStatement,
  action: A,
): statement is PresenceStatement & PresenceStatement<A> {
  return statement.action === action;
}
