import { SHA256, UUID } from "@redoubt/base";
import { bytes, flag, integer, oneOf, text, type Values } from "./member.ts";
import { group, list, nullable, optional } from "./message.ts";
import { operation } from "./operation.ts";
import { ASSERTION, PRESENCE_LIMITS } from "./presence.ts";

const NAME = text(256);
const ID = text(36, UUID);
const MINUTES = integer(1, 60);
const TIER = oneOf("synced", "device-bound", "attested");

const EMAIL = group({ value: text(320), type: optional(text(32)), primary: optional(flag) });

const DETAILS = {
  tenant: ID,
  /** Unique in the tenant, whatever its case. */
  userName: NAME,
  externalId: nullable(NAME),
  displayName: nullable(NAME),
  givenName: nullable(NAME),
  familyName: nullable(NAME),
  emails: list(EMAIL, 16),
};

const PERSON = {
  ...DETAILS,
  id: ID,
  status: oneOf("active", "disabled"),
  isAdministrator: flag,
  source: oneOf("command", "scim", "import"),
  created: integer(),
  updated: integer(),
  /** When the person had as many passkeys as one must have. */
  onboardedAt: nullable(integer()),
};
export type PersonView = Values<typeof PERSON>;

/** Never the key itself. */
const PASSKEY = {
  credential: bytes({ maxBytes: 1023 }),
  name: text(64),
  tier: TIER,
  created: integer(),
  lastUsed: nullable(integer()),
};
export type PasskeyView = Values<typeof PASSKEY>;

const ONE = { tenant: ID, person: ID };
/** What somebody approved, as the ceremony page gave it: whoever takes it verifies it. */
const APPROVAL = group({
  statement: bytes({ maxBytes: PRESENCE_LIMITS.statementBytes }),
  assertions: list(group(ASSERTION), PRESENCE_LIMITS.approvers, 1),
});
const PASS = { pass: text(64), expires: integer() };

/** What the operator says and asks about a realm's people (docs/spec/wire.md §6.1). */
export const PEOPLE = {
  addPerson: operation(
    "addPerson",
    { ...DETAILS, isAdministrator: flag, source: oneOf("command", "import") },
    PERSON,
  ),
  /** In the order in which they were added; `next` is there where more follow. */
  listPeople: operation(
    "listPeople",
    { tenant: ID, from: integer(1) },
    { total: integer(), items: list(group(PERSON), 100), next: optional(integer(2)) },
  ),
  showPerson: operation(
    "showPerson",
    { tenant: ID, userName: NAME },
    { person: group(PERSON), passkeys: list(group(PASSKEY), 64) },
  ),
  disablePerson: operation("disablePerson", ONE, { changed: flag }),
  enablePerson: operation("enablePerson", ONE, { changed: flag }),
  /** Once in a realm's life: the person and a pass, or neither. */
  firstAdministrator: operation(
    "firstAdministrator",
    { ...DETAILS, minutes: MINUTES },
    { person: group(PERSON), ...PASS },
  ),
  /** The answer is the only place where the pass ever stands. */
  issuePass: operation(
    "issuePass",
    {
      ...ONE,
      purpose: oneOf("onboarding", "recovery"),
      minutes: MINUTES,
      /** Of a `person.pass` statement about just this; without it the operator asks alone. */
      approval: optional(APPROVAL),
    },
    PASS,
  ),
  /** An administrator's passkey, as it can stand in the registry as one whose approvals count. */
  passkeyToEnrol: operation(
    "passkeyToEnrol",
    { ...ONE, credential: bytes({ maxBytes: 1023 }) },
    {
      publicKey: bytes({ maxBytes: 1024 }),
      class: oneOf("verified", "device-bound", "attested"),
      rpId: text(253),
      aaguid: optional(text(36, UUID)),
    },
  ),
  /** Verifies and keeps the approval of an enrolment, which the operator then says to the registry. */
  approveEnrolment: operation(
    "approveEnrolment",
    { ...ONE, credential: bytes({ maxBytes: 1023 }), approval: APPROVAL },
    { id: text(43, SHA256) },
  ),
  /** The newest first. `service` is whose word on the time counts; null where nobody can approve anything here. */
  listApprovals: operation(
    "listApprovals",
    { from: integer(1) },
    {
      service: nullable(text(256)),
      items: list(group({ id: text(43, SHA256), at: integer() }), 100),
      next: optional(integer(2)),
    },
  ),
  showApproval: operation(
    "showApproval",
    { id: text(43, SHA256) },
    { envelope: bytes({ maxBytes: 131_072 }) },
  ),
  removePasskey: operation(
    "removePasskey",
    { ...ONE, credential: bytes({ maxBytes: 1023 }), reason: text(256) },
    { removed: flag },
  ),
  addScimToken: operation(
    "addScimToken",
    { tenant: ID, name: text(64), days: integer(1, 730) },
    { id: text(43, SHA256), token: text(64), expires: integer() },
  ),
  listScimTokens: operation(
    "listScimTokens",
    { tenant: ID },
    {
      items: list(
        group({ id: text(43, SHA256), name: text(64), created: integer(), expires: integer() }),
        64,
      ),
    },
  ),
  removeScimToken: operation(
    "removeScimToken",
    { tenant: ID, id: text(43, SHA256) },
    { removed: flag },
  ),
  /** Days since the epoch, in UTC, both included; at most 400 of them. */
  signInTallies: operation(
    "signInTallies",
    { from: integer(), to: integer() },
    { items: list(group({ day: integer(), tier: TIER, count: integer() }), 1203) },
  ),
  /** Active accounts of the realm by the weakest passkey that each has: an attacker needs no stronger one. */
  mfaCoverage: operation(
    "mfaCoverage",
    {},
    { none: integer(), synced: integer(), deviceBound: integer(), attested: integer() },
  ),
};
