import type { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";

/** The hashes that are accepted, for banks of PCRs, names and signatures. SHA-1 is none of them. */
export type TpmHash = "sha256" | "sha384" | "sha512";

interface HashFacts {
  /** TPM_ALG_ID, TPM 2.0 Part 2 §6.3. */
  readonly id: number;
  readonly size: number;
}

export const TPM_HASHES: Readonly<Record<TpmHash, HashFacts>> = {
  sha256: { id: 0x000b, size: 32 },
  sha384: { id: 0x000c, size: 48 },
  sha512: { id: 0x000d, size: 64 },
};

/** The largest TPMT_HA: an algorithm's number and a digest. Bounds names and qualifying data. */
export const MAX_HASH_BYTES = 66;

export const TPM_ALG = {
  rsa: 0x0001,
  aes: 0x0006,
  keyedHash: 0x0008,
  null: 0x0010,
  rsassa: 0x0014,
  rsapss: 0x0016,
  ecdsa: 0x0018,
  ecc: 0x0023,
  cfb: 0x0043,
} as const;

/** @throws EvidenceError `ERR_EVIDENCE_UNSUPPORTED` for SHA-1 and every other hash */
export function readHash(reader: ByteReader, part: string): TpmHash {
  const found = reader.u16be();
  if (found === TPM_HASHES.sha256.id) return "sha256";
  if (found === TPM_HASHES.sha384.id) return "sha384";
  if (found === TPM_HASHES.sha512.id) return "sha512";
  throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "Hash of a TPM structure is not accepted", {
    part,
    found: `0x${found.toString(16)}`,
  });
}

/** A TPM2B: two bytes of size, then as many bytes. The size is the peer's, so it is bounded first. */
export function readSized(reader: ByteReader, maxBytes: number, part: string): Buffer {
  const size = reader.u16be();
  if (size > maxBytes)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", "Field of a TPM structure is too long", {
      part,
      found: size,
      expected: maxBytes,
    });
  return reader.bytes(size);
}
