export { verifies, verifyJwsSignature } from "./jws-signature.ts";
export {
  generateKeyPair,
  joseFromDer,
  publicJwk,
  SIGNATURE_ALGORITHMS,
  signerFor,
  type SignatureAlgorithm,
  type Signer,
} from "./algorithm.ts";
export { isDrill } from "./drill.ts";
export { formatDuration, parseDuration } from "./duration.ts";
export { KeyError, type KeyErrorCode } from "./errors.ts";
export {
  checkTransition,
  isPublished,
  KEY_STATES,
  needsCustody,
  type KeyState,
} from "./life-cycle.ts";
export { AGE_LEVELS, keyAge, signingEnd, type AgeLevel, type KeyAge } from "./key-age.ts";
export { dueStep, nextStep, type DueStep, type NextStep } from "./next-step.ts";
export {
  activeOf,
  isKeyWanted,
  leadSeconds,
  newKeyWindow,
  restorable,
  standbys,
  unknownSeconds,
  type Ring,
  type RingKey,
  type StepPolicy,
} from "./ring.ts";
export {
  encodeKeyRecord,
  signKeyRecord,
  verifyKeyRecord,
  vouchFor,
  type KeyRecordFields,
  type SignedKeyRecord,
} from "./record.ts";
export {
  defaultRotationPolicy,
  parseRotationPolicy,
  type RotationPolicy,
  type RotationSubject,
} from "./rotation-policy.ts";
