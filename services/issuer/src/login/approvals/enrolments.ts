import { hash } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import { personHash, type CredentialClass } from "@redoubt/presence";
import type { PeopleStore } from "@redoubt/store";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { fromStore } from "../flows/passkey-sign-in.ts";
import { tierOf, type PasskeyTier } from "../passkeys/tier.ts";
import type { Approvals, UnverifiedApproval } from "./approvals.ts";

export interface EnrolmentParts {
  readonly store: Pick<PeopleStore, "people" | "passkeys">;
  readonly approvals: Pick<Approvals, "accept">;
}

/** What the registry is told of a passkey whose approvals are to count. */
export interface PasskeyToEnrol {
  /** COSE. */
  readonly publicKey: Buffer;
  readonly class: CredentialClass;
  readonly rpId: string;
  readonly aaguid?: string;
}

export interface PasskeyName {
  readonly tenant: string;
  readonly person: string;
  readonly credential: Buffer;
}

const CLASSES: Readonly<Record<PasskeyTier, CredentialClass>> = {
  synced: "verified",
  "device-bound": "device-bound",
  attested: "attested",
};

/**
 * An administrator's passkey, with its public key.
 *
 * @throws ServiceError `ERR_PERSON_UNKNOWN`, `ERR_PERSON_NOT_ADMINISTRATOR`, `ERR_PERSON_PASSKEY`
 */
export async function passkeyToEnrol(
  { store }: EnrolmentParts,
  { tenant, person: id, credential }: PasskeyName,
): Promise<PasskeyToEnrol> {
  if (!(await store.people.find(tenant, { id })))
    throw new ServiceError("ERR_PERSON_UNKNOWN", "No such person in this tenant");
  if (!(await store.people.isActiveAdministrator(id)))
    throw new ServiceError(
      "ERR_PERSON_NOT_ADMINISTRATOR",
      "Only an active administrator's passkey is enrolled for approvals",
    );
  const stored = await store.passkeys.find(credential);
  if (stored?.personId !== id)
    throw new ServiceError("ERR_PERSON_PASSKEY", "The person has no such passkey");
  const tier = tierOf(fromStore(stored));
  return {
    publicKey: Buffer.from(stored.publicKey),
    class: CLASSES[tier],
    rpId: stored.rpId,
    // Only a vendor's word on the model is one.
    ...(tier === "attested" && stored.aaguid !== "" && { aaguid: stored.aaguid }),
  };
}

/**
 * Takes and keeps the approval of an enrolment. The operator, who says it to the registry, verifies it, too.
 *
 * @returns by what it is kept
 * @throws as `passkeyToEnrol`, and PresenceError
 */
export async function approveEnrolment(
  parts: EnrolmentParts,
  name: PasskeyName,
  approval: UnverifiedApproval,
): Promise<string> {
  const { publicKey, class: tier } = await passkeyToEnrol(parts, name);
  const subject = {
    person: personHash(name.person),
    credential: encodeBase64url(name.credential),
    publicKeyHash: hash("sha256", publicKey, "base64url"),
    class: tier,
  };
  return parts.approvals.accept(approval, subject, {
    action: "presence.enrol",
    approvers: 1,
    // A second passkey of her own makes nobody two persons.
    notBy: [],
  });
}
