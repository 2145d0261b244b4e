import { TPM_ALG, TPM_HASHES } from "./algorithms.ts";
import { TPM_RH } from "./command.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { EK_POLICY_C_SHA384, endorsementPolicyDigest, policyOrDigest } from "./policy.ts";
import { TPMA_OBJECT, TPM_CURVES } from "./public-area.ts";

/** What a primary key is made of. The same template in the same hierarchy gives the same key at every boot. */
export interface KeyTemplate {
  readonly hierarchy: number;
  /** TPMT_PUBLIC with an empty or zero `unique`. */
  readonly publicArea: Uint8Array;
}

const { fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, adminWithPolicy } = TPMA_OBJECT;
const { noDA, restricted, decrypt, sign } = TPMA_OBJECT;
const MADE_HERE = fixedTPM | fixedParent | sensitiveDataOrigin;
const NONE = u16(TPM_ALG.null);

function aesCfb(bits: number): Buffer {
  return Buffer.concat([u16(TPM_ALG.aes), u16(bits), u16(TPM_ALG.cfb)]);
}

/** EK Credential Profile 2.3 §B.3.3, template L-1: RSA 2048, its public area in the EK certificate of NV 0x01C00002. */
export const EK_RSA_2048: KeyTemplate = {
  hierarchy: TPM_RH.endorsement,
  publicArea: Buffer.concat([
    u16(TPM_ALG.rsa),
    u16(TPM_HASHES.sha256.id),
    u32(MADE_HERE | adminWithPolicy | restricted | decrypt),
    sized(endorsementPolicyDigest("sha256")),
    aesCfb(128),
    NONE,
    u16(2048),
    u32(0),
    sized(Buffer.alloc(256)),
  ]),
};

/** §B.4.5, template H-3: P-384, its certificate in NV 0x01C00016. */
export const EK_P384: KeyTemplate = {
  hierarchy: TPM_RH.endorsement,
  publicArea: Buffer.concat([
    u16(TPM_ALG.ecc),
    u16(TPM_HASHES.sha384.id),
    u32(MADE_HERE | userWithAuth | adminWithPolicy | restricted | decrypt),
    sized(policyOrDigest("sha384", [endorsementPolicyDigest("sha384"), EK_POLICY_C_SHA384])),
    aesCfb(256),
    NONE,
    u16(TPM_CURVES["P-384"].id),
    NONE,
    sized(),
    sized(),
  ]),
};

/**
 * An attestation key on P-256. It is in the endorsement hierarchy, since a key of another one gets the TPM's reset
 * count obfuscated (TPM 2.0 Part 1 §36.7), so that nobody could see that the machine was started again.
 */
export const AK_P256: KeyTemplate = {
  hierarchy: TPM_RH.endorsement,
  publicArea: Buffer.concat([
    u16(TPM_ALG.ecc),
    u16(TPM_HASHES.sha256.id),
    u32(MADE_HERE | userWithAuth | noDA | restricted | sign),
    sized(),
    NONE,
    u16(TPM_ALG.ecdsa),
    u16(TPM_HASHES.sha256.id),
    u16(TPM_CURVES["P-256"].id),
    NONE,
    sized(),
    sized(),
  ]),
};

/** Storage key on P-256: the parent of what is sealed. */
export const STORAGE_P256: KeyTemplate = {
  hierarchy: TPM_RH.owner,
  publicArea: Buffer.concat([
    u16(TPM_ALG.ecc),
    u16(TPM_HASHES.sha256.id),
    u32(MADE_HERE | userWithAuth | noDA | restricted | decrypt),
    sized(),
    aesCfb(128),
    NONE,
    u16(TPM_CURVES["P-256"].id),
    NONE,
    sized(),
    sized(),
  ]),
};

/** Data that leaves the TPM by this policy only: without `userWithAuth` no password opens it. */
export function sealedTemplate(policy: Uint8Array): Buffer {
  return Buffer.concat([
    u16(TPM_ALG.keyedHash),
    u16(TPM_HASHES.sha256.id),
    u32(fixedTPM | fixedParent | noDA),
    sized(policy),
    NONE,
    sized(),
  ]);
}
