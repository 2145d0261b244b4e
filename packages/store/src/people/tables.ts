// What stands in the database, column by column; people-migrations.ts makes it. Times are POSIX seconds; 0 and 1 are
// what both engines have for no and yes.

export interface PeopleTable {
  id: string;
  tenant: string;
  userName: string;
  /** What `userName` is looked up and held apart by. */
  userNameKey: string;
  externalId: string | null;
  displayName: string | null;
  givenName: string | null;
  familyName: string | null;
  /** JSON. */
  emails: string;
  status: "active" | "disabled";
  isAdministrator: number;
  handle: Uint8Array;
  source: "command" | "scim" | "import";
  created: number;
  updated: number;
  onboardedAt: number | null;
  version: number;
}

export interface PasskeysTable {
  credentialId: Uint8Array;
  personId: string;
  rpId: string;
  publicKey: Uint8Array;
  algorithm: number;
  counter: number;
  trust: string;
  format: string;
  aaguid: string;
  backupEligible: number;
  backedUp: number;
  /** JSON. */
  transports: string;
  name: string;
  createdBy: "pass" | "passkey" | "recovery";
  created: number;
  lastUsed: number | null;
}

export interface PassesTable {
  hash: Uint8Array;
  personId: string;
  purpose: "first-administrator" | "onboarding" | "recovery" | "recovery-code";
  issuedBy: string;
  created: number;
  notBefore: number;
  expires: number;
  usedAt: number | null;
  voidedAt: number | null;
}

export interface ProtocolTable {
  kind: string;
  id: string;
  payload: string;
  /** Null where it never ends by itself. */
  expires: number | null;
  consumedAt: number | null;
  grantId: string | null;
  accountId: string | null;
  uid: string | null;
  userCode: string | null;
  version: number;
}

export interface CeremoniesTable {
  idHash: Uint8Array;
  kind: string;
  data: string;
  expires: number;
}

export interface OutboxTable {
  id: string;
  kind: string;
  payload: string;
  created: number;
  nextAttempt: number;
  /** Leases that were given; the newest holds the row. */
  attempts: number;
}

export interface TalliesTable {
  day: number;
  tier: string;
  count: number;
}

export interface ScimTokensTable {
  hash: Uint8Array;
  tenant: string;
  name: string;
  created: number;
  expires: number;
}

export interface ApprovalsTable {
  /** Hash of the statement, base64url: what an approval can do, it can do once. */
  id: string;
  /** POSIX seconds. */
  at: number;
  /** With the raw assertions (docs/spec/presence.md §7). */
  envelope: Uint8Array;
}

export interface Tables {
  meta: { name: string; value: string };
  people: PeopleTable;
  passkeys: PasskeysTable;
  passes: PassesTable;
  protocol: ProtocolTable;
  ceremonies: CeremoniesTable;
  outbox: OutboxTable;
  tallies: TalliesTable;
  scimTokens: ScimTokensTable;
  approvals: ApprovalsTable;
}
