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
export { formatDuration, parseDuration } from "./duration.ts";
export { KeyError, type KeyErrorCode } from "./errors.ts";
export {
  checkTransition,
  decideNextState,
  isPublished,
  isReadyToSign,
  publishedFor,
  KEY_STATES,
  type KeyState,
  type LifeCycleInput,
  type LifeCyclePolicy,
} from "./life-cycle.ts";
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
