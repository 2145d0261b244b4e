export {
  acceptApproval,
  checkTime,
  type ApprovalPolicy,
  type Approved,
} from "./accept-approval.ts";
export type { ActionName, Said } from "./actions/index.ts";
export type { Approver, Ceremony } from "./approvers.ts";
export { checkUnverifiedAssertion, type Assertion } from "./assertion.ts";
export { MAX_COSE_BYTES, parseCoseKey } from "./cose-key.ts";
export {
  CREDENTIAL_CLASSES,
  enrolmentKey,
  type CredentialClass,
  type Enrolment,
  type Enrolments,
} from "./enrolment.ts";
export {
  MAX_ENVELOPE_BYTES,
  openEnvelope,
  sealEnvelope,
  unverifiedEnvelope,
  type ActingService,
} from "./envelope.ts";
export {
  CREDENTIAL_ID,
  MAX_CREDENTIAL_BYTES,
  MAX_CREDENTIAL_TEXT,
  personHash,
  RP_ID,
} from "./person.ts";
export { PresenceError, type PresenceErrorCode } from "./presence-error.ts";
export { readAssertion } from "./read-assertion.ts";
export { makeStatement, openStatement, ORIGIN, type OpenedStatement } from "./statement.ts";
