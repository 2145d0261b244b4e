import { createHash } from "node:crypto";
import { TPM_HASHES, type TpmHash } from "./algorithms.ts";
import { TPM_CC, TPM_RH } from "./command.ts";
import { u32 } from "./marshal.ts";
import { encodeSelection, type PcrSelection } from "./pcr-selection.ts";

function hash(algorithm: TpmHash, ...parts: readonly Uint8Array[]): Buffer {
  return createHash(algorithm).update(Buffer.concat(parts)).digest();
}

function zeros(algorithm: TpmHash): Buffer {
  return Buffer.alloc(TPM_HASHES[algorithm].size);
}

/**
 * The digest of a policy whose only step is PolicyPCR (TPM 2.0 Part 3 §23.7), without a TPM.
 *
 * @param values in ascending order of their indices
 */
export function policyPcrDigest(
  algorithm: TpmHash,
  selection: PcrSelection,
  values: readonly Uint8Array[],
): Buffer {
  const digest = hash(algorithm, ...values);
  const step = [u32(TPM_CC.PolicyPCR), encodeSelection(selection), digest];
  return hash(algorithm, zeros(algorithm), ...step);
}

/** PolicySecret of the endorsement hierarchy, as the first step (Part 3 §23.4; the second hash is over no policyRef). */
export function endorsementPolicyDigest(algorithm: TpmHash): Buffer {
  const step = [u32(TPM_CC.PolicySecret), u32(TPM_RH.endorsement)];
  return hash(algorithm, hash(algorithm, zeros(algorithm), ...step));
}

/** PolicyOR (Part 3 §23.6): earlier steps do not count any more. */
export function policyOrDigest(algorithm: TpmHash, branches: readonly Uint8Array[]): Buffer {
  return hash(algorithm, zeros(algorithm), u32(TPM_CC.PolicyOR), ...branches);
}

/**
 * PolicyC of TCG's EK Credential Profile 2.3 §B.6.5, SHA-384: the branch of an EK's policy that an administrator may
 * write into NV index 0x01C07F02.
 */
export const EK_POLICY_C_SHA384 = Buffer.from(
  "d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165",
  "hex",
);
