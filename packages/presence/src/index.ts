export { MAX_COSE_BYTES, parseCoseKey } from "./cose-key.ts";
export {
  CREDENTIAL_CLASSES,
  enrolmentKey,
  type CredentialClass,
  type Enrolment,
  type Enrolments,
} from "./enrolment.ts";
export { CREDENTIAL_ID, MAX_CREDENTIAL_BYTES, MAX_CREDENTIAL_TEXT, RP_ID } from "./person.ts";
