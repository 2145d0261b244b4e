import { createHash, createHmac } from "node:crypto";
import { TPM_HASHES, type TpmHash } from "./algorithms.ts";
import { u32 } from "./marshal.ts";

/** Bytes of at most one digest: what every use here needs, so neither derivation counts further than one. */
const FIRST = u32(1);

/** KDFa, TPM 2.0 Part 1 §11.4.10.2, for up to one digest. */
export function kdfA(
  hash: TpmHash,
  key: Uint8Array,
  label: string,
  context: Uint8Array,
  bits: number,
): Buffer {
  const input = Buffer.concat([FIRST, Buffer.from(`${label}\0`), context, u32(bits)]);
  return createHmac(hash, key)
    .update(input)
    .digest()
    .subarray(0, bits / 8);
}

/** KDFe, TPM 2.0 Part 1 §11.4.10.3, for one digest. */
export function kdfE(
  hash: TpmHash,
  z: Uint8Array,
  label: string,
  partyU: Uint8Array,
  partyV: Uint8Array,
): Buffer {
  const input = Buffer.concat([FIRST, z, Buffer.from(`${label}\0`), partyU, partyV]);
  return createHash(hash).update(input).digest();
}

export function digestBits(hash: TpmHash): number {
  return TPM_HASHES[hash].size * 8;
}
