export {
  type Attestation,
  type AttestationTrust,
  type AttestedKey,
  encodeAttestation,
  encodeGrantBody,
  type GrantBody,
  MAX_EXPECTED_BYTES,
  MAX_REFERENCES,
  openAttestation,
  parseGrantBody,
  unverifiedAttestation,
  type UnverifiedAttestation,
  verifyAttestation,
} from "./attestation.ts";
export { openEar, signEar, type EarSubject } from "./ear.ts";
