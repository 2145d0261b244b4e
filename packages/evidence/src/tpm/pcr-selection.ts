import type { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import { TPM_HASHES, readHash, type TpmHash } from "./algorithms.ts";
import { u16, u32 } from "./marshal.ts";

/** PCRs of one bank. */
export interface PcrSelection {
  readonly bank: TpmHash;
  /** Of 0 to 23, each once. */
  readonly indices: readonly number[];
}

export const PCR_COUNT = 24;
/** HASH_COUNT of the reference implementation, TPM 2.0 Part 2, annex. */
export const MAX_BANKS = 16;
/** PC Client Platform TPM Profile: 24 PCRs, so three octets; PCR_SELECT_MAX of some implementations is four. */
const MAX_SELECT_BYTES = 4;

/** TPML_PCR_SELECTION, TPM 2.0 Part 2 §10.9.7. Whoever made the quote chose it, so a caller compares it with his own. */
export function readSelections(reader: ByteReader, part: string): PcrSelection[] {
  const count = reader.u32be();
  if (count > MAX_BANKS)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", "Too many banks of PCRs", {
      part,
      found: count,
      expected: MAX_BANKS,
    });
  return Array.from({ length: count }, () => readSelection(reader, part));
}

function readSelection(reader: ByteReader, part: string): PcrSelection {
  const bank = readHash(reader, part);
  const size = reader.u8();
  if (size > MAX_SELECT_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", "Selection of PCRs is too long", {
      part,
      found: size,
      expected: MAX_SELECT_BYTES,
    });
  return { bank, indices: selectedIndices(reader.bytes(size)) };
}

/** The numbers of the bits that are set, ascending. */
export function selectedIndices(bits: Buffer): number[] {
  return Array.from({ length: bits.length * 8 }, (_, index) => index).filter(
    (index) => bits.readUInt8(index >> 3) & (1 << (index & 7)),
  );
}

/** TPML_PCR_SELECTION with one bank, indices ascending: the form in which a TPM gives it back. */
export function encodeSelection({ bank, indices }: PcrSelection): Buffer {
  const bits = Buffer.alloc(PCR_COUNT / 8);
  for (const index of indices)
    bits.writeUInt8(bits.readUInt8(index >> 3) | (1 << (index & 7)), index >> 3);
  return Buffer.concat([u32(1), u16(TPM_HASHES[bank].id), Buffer.of(bits.length), bits]);
}

/**
 * What a caller demands, indices ascending.
 *
 * @throws RangeError for no PCR, one twice, or one that does not exist: the caller's own mistake
 */
export function checkedSelection({ bank, indices }: PcrSelection): PcrSelection {
  const ascending = [...new Set(indices)].toSorted((a, b) => a - b);
  const valid = indices.every((i) => Number.isInteger(i) && i >= 0 && i < PCR_COUNT);
  if (!valid || indices.length === 0 || ascending.length !== indices.length)
    throw new RangeError(
      `PCRs: expected different numbers from 0 to ${PCR_COUNT - 1}, at least one`,
    );
  return { bank, indices: ascending };
}
