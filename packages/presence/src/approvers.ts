import { decodeBase64url } from "@redoubt/verify/base64url";
import { verifyAssertion, type Assertion, type VerifiedAssertion } from "./assertion.ts";
import { parseCoseKey, MAX_COSE_BYTES } from "./cose-key.ts";
import {
  enrolmentKey,
  type CredentialClass,
  type Enrolment,
  type Enrolments,
} from "./enrolment.ts";
import { PresenceError, refuseAs } from "./presence-error.ts";
import type { OpenedStatement } from "./statement.ts";

/** Assertions over one statement. */
export const MAX_ASSERTIONS = 8;

/** Where statements are shown: an assertion of any other place is none. */
export interface Ceremony {
  readonly rpId: string;
  /** Never the origin at which people sign in (THREAT-20). */
  readonly origins: readonly string[];
}

/** A person who approved, with one passkey. */
export interface Approver extends VerifiedAssertion {
  /** `personHash`. */
  readonly person: string;
  readonly class: CredentialClass;
}

/**
 * Verifies that each assertion is over this statement, by a passkey that was enrolled then, each of another person.
 *
 * @param at POSIX seconds
 * @throws PresenceError `ERR_PRESENCE_ACTION` for a statement of another relying party or origin;
 *   `ERR_PRESENCE_APPROVERS`, `ERR_PRESENCE_ENROLMENT`, `ERR_PRESENCE_KEY`, and those of `verifyAssertion`
 */
export function verifyApprovers(
  { statement, challenge }: OpenedStatement,
  assertions: readonly Assertion[],
  {
    enrolments,
    ceremony,
    at,
  }: {
    readonly enrolments: Enrolments;
    readonly ceremony: Ceremony;
    readonly at: number;
  },
): readonly Approver[] {
  const { realm, rpId, origin } = statement;
  if (rpId !== ceremony.rpId || !ceremony.origins.includes(origin))
    throw new PresenceError(
      "ERR_PRESENCE_ACTION",
      "Statement is of another relying party or origin",
    );
  if (assertions.length === 0 || assertions.length > MAX_ASSERTIONS)
    throw new PresenceError(
      "ERR_PRESENCE_APPROVERS",
      `Approval has ${assertions.length} assertions, expected 1 to ${MAX_ASSERTIONS}`,
    );
  const approvers = assertions.map((assertion): Approver => {
    const enrolment = findEnrolment(enrolments, realm, assertion.credentialId);
    const isActive = at >= enrolment.from && at < (enrolment.removedAt ?? Infinity);
    if (enrolment.rpId !== rpId || !isActive) throw notEnrolled();
    const key = refuseAs("ERR_PRESENCE_KEY", "Enrolled key", () =>
      parseCoseKey(decodeBase64url(enrolment.publicKey, { maxBytes: MAX_COSE_BYTES })),
    );
    const credential = { id: enrolment.credential, ...key };
    const verified = verifyAssertion({ challenge, rpId, origin, credential }, assertion);
    return Object.freeze({ ...verified, person: enrolment.person, class: enrolment.class });
  });
  // THREAT-20: two passkeys of one person are one person.
  if (new Set(approvers.map(({ person }) => person)).size !== approvers.length)
    throw new PresenceError("ERR_PRESENCE_APPROVERS", "One person approved twice");
  return Object.freeze(approvers);
}

function findEnrolment(enrolments: Enrolments, realm: string, credential: string): Enrolment {
  const found = enrolments.get(enrolmentKey(realm, credential));
  if (!found || found.realm !== realm || found.credential !== credential) throw notEnrolled();
  return found;
}

/** One answer, whatever it is that is missing. */
function notEnrolled(): PresenceError {
  return new PresenceError("ERR_PRESENCE_ENROLMENT", "Credential was not enrolled for this then");
}
