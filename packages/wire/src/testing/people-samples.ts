import type { JsonObject } from "@redoubt/verify/json";
import { PEOPLE } from "../protocol/people.ts";

const TENANT = "11111111-1111-4111-8111-111111111111";
const PERSON_ID = "22222222-2222-4222-8222-222222222222";
const HASH = "A".repeat(43);

const DETAILS = {
  tenant: TENANT,
  userName: "ada@example.org",
  externalId: null,
  displayName: "Ada",
  givenName: null,
  familyName: null,
  emails: [{ value: "ada@example.org", type: "work", primary: true }],
};
const PERSON = {
  ...DETAILS,
  id: PERSON_ID,
  status: "active",
  isAdministrator: false,
  source: "scim",
  created: 1,
  updated: 2,
  onboardedAt: null,
};
const ONE = { tenant: TENANT, person: PERSON_ID };
const PASSKEY = { credential: "AAAA", name: "Key", tier: "synced", created: 1, lastUsed: null };
const ASSERTION = {
  credentialId: "AAAA",
  clientDataJSON: "AAAA",
  authenticatorData: "A".repeat(50),
  signature: "AAAA",
};
const APPROVAL = { statement: "AAAA", assertions: [ASSERTION] };
const PASS = { pass: "ABCD-EFGH", expires: 9 };
const BAD_DETAILS: readonly JsonObject[] = [
  { tenant: "ACME" },
  { userName: "" },
  { userName: "a".repeat(257) },
  { externalId: "" },
  { emails: [{}] },
  { emails: Array.from({ length: 17 }, () => ({ value: "a" })) },
  { displayName: 7 },
];

/** Of each question about people. */
export const PEOPLE_SAMPLES = [
  {
    asked: PEOPLE.addPerson,
    request: { ...DETAILS, isAdministrator: false, source: "import" },
    answer: PERSON,
    badRequests: [...BAD_DETAILS, { source: "scim" }, { isAdministrator: 1 }],
    badAnswers: [{ status: "removed" }, { id: "x" }, { onboardedAt: -1 }],
  },
  {
    asked: PEOPLE.listPeople,
    request: { tenant: TENANT, from: 1 },
    answer: { total: 2, items: [PERSON], next: 2 },
    badRequests: [{ from: 0 }, { tenant: "" }],
    badAnswers: [{ next: 1 }, { items: [{}] }, { total: -1 }],
  },
  {
    asked: PEOPLE.showPerson,
    request: { tenant: TENANT, userName: "ada@example.org" },
    answer: { person: PERSON, passkeys: [PASSKEY] },
    badRequests: [{ userName: "" }],
    badAnswers: [{ passkeys: [{ ...PASSKEY, publicKey: "AAAA" }] }, { person: {} }],
  },
  {
    asked: PEOPLE.disablePerson,
    request: ONE,
    answer: { changed: true },
    badRequests: [{ person: "ada" }, { tenant: "acme" }],
    badAnswers: [{ changed: 1 }],
  },
  { asked: PEOPLE.enablePerson, request: ONE, answer: { changed: false } },
  {
    asked: PEOPLE.firstAdministrator,
    request: { ...DETAILS, minutes: 60 },
    answer: { person: { ...PERSON, isAdministrator: true }, ...PASS },
    badRequests: [...BAD_DETAILS, { minutes: 0 }, { minutes: 61 }],
    badAnswers: [{ pass: "" }],
  },
  {
    asked: PEOPLE.issuePass,
    request: { ...ONE, purpose: "recovery", minutes: 1, approval: APPROVAL },
    answer: PASS,
    badRequests: [
      { purpose: "first-administrator" },
      { purpose: "recovery-code" },
      { minutes: 0 },
      { minutes: 61 },
      { issuedBy: "operator" },
      { approval: null },
      { approval: { ...APPROVAL, assertions: [] } },
      { approval: { ...APPROVAL, assertions: Array.from({ length: 9 }, () => ASSERTION) } },
      { approval: { ...APPROVAL, statement: "A" } },
    ],
    badAnswers: [{ pass: "" }, { expires: null }],
  },
  {
    asked: PEOPLE.passkeyToEnrol,
    request: { ...ONE, credential: "AAAA" },
    answer: { publicKey: "AAAA", class: "attested", rpId: "login.test", aaguid: PERSON_ID },
    badRequests: [{ credential: "A" }],
    badAnswers: [{ class: "synced" }, { aaguid: "x" }, { privateKey: "AAAA" }],
  },
  {
    asked: PEOPLE.approveEnrolment,
    request: { ...ONE, credential: "AAAA", approval: APPROVAL },
    answer: { id: HASH },
    badRequests: [{ approval: { ...APPROVAL, assertions: [{ ...ASSERTION, userHandle: "A" }] } }],
    badAnswers: [{ id: "x" }],
  },
  {
    asked: PEOPLE.listApprovals,
    request: { from: 1 },
    answer: { service: "issuer+1+A", items: [{ id: HASH, at: 3 }], next: 2 },
    badRequests: [{ from: 0 }],
    badAnswers: [{ service: "" }, { next: 1 }, { items: [{ id: HASH }] }],
  },
  {
    asked: PEOPLE.showApproval,
    request: { id: HASH },
    answer: { envelope: "AAAA" },
    badRequests: [{ id: "x" }],
    badAnswers: [{ envelope: "A" }],
  },
  {
    asked: PEOPLE.removePasskey,
    request: { ...ONE, credential: "AAAA", reason: "It was stolen" },
    answer: { removed: true },
    badRequests: [{ reason: "" }, { reason: "r".repeat(257) }, { credential: "A" }],
  },
  {
    asked: PEOPLE.addScimToken,
    request: { tenant: TENANT, name: "entra", days: 730 },
    answer: { id: HASH, token: "t", expires: 9 },
    badRequests: [{ days: 0 }, { days: 731 }, { name: "" }],
    badAnswers: [{ id: "x" }],
  },
  {
    asked: PEOPLE.listScimTokens,
    request: { tenant: TENANT },
    answer: { items: [{ id: HASH, name: "entra", created: 1, expires: 9 }] },
    badAnswers: [{ items: [{ id: HASH, name: "entra", created: 1, expires: 9, token: "t" }] }],
  },
  {
    asked: PEOPLE.removeScimToken,
    request: { tenant: TENANT, id: HASH },
    answer: { removed: false },
    badRequests: [{ id: "x" }],
  },
  {
    asked: PEOPLE.signInTallies,
    request: { from: 1, to: 2 },
    answer: { items: [{ day: 1, tier: "attested", count: 3 }] },
    badRequests: [{ from: -1 }],
    badAnswers: [{ items: [{ day: 1, tier: "password", count: 3 }] }],
  },
  {
    asked: PEOPLE.mfaCoverage,
    request: {},
    answer: { none: 1, synced: 2, deviceBound: 3, attested: 4 },
    badAnswers: [{ none: -1 }],
  },
];
