import { createHash } from "node:crypto";
import type { HashReader } from "../hash-reader.ts";

/**
 * The definitions of RFC 6962 §2.1 as they are written there: recursive, slow, and sharing no code with what they test.
 * Entry i is the decimal text of i.
 */
const known = new Map<string, Buffer>();

export function entry(i: number): Buffer {
  return Buffer.from(String(i));
}

/** MTH(D[start:end]) */
export function mth(start: number, end: number): Buffer {
  const key = `${start}-${end}`;
  const hash = known.get(key) ?? computeMth(start, end);
  known.set(key, hash);
  return hash;
}

function computeMth(start: number, end: number): Buffer {
  const n = end - start;
  if (n === 0) return createHash("sha256").digest();
  if (n === 1) return createHash("sha256").update(Buffer.of(0)).update(entry(start)).digest();
  const k = start + largestPowerBelow(n);
  return createHash("sha256")
    .update(Buffer.of(1))
    .update(mth(start, k))
    .update(mth(k, end))
    .digest();
}

/** PATH(m, D[start:end]) of RFC 6962 §2.1.1, with m counted from the start of the whole tree. */
export function path(m: number, start: number, end: number): Buffer[] {
  if (end - start === 1) return [];
  const k = start + largestPowerBelow(end - start);
  return m < k ? [...path(m, start, k), mth(k, end)] : [...path(m, k, end), mth(start, k)];
}

/** SUBTREE_SUBPROOF(start, end, D[low:high], known) of draft-ietf-plants-merkle-tree-certs; from 0 it is PROOF of RFC 6962. */
export function subtreeProof(
  [start, end]: readonly [number, number],
  [low, high]: readonly [number, number],
  isKnown = true,
): Buffer[] {
  if (start === low && end === high) return isKnown ? [] : [mth(low, high)];
  const k = low + largestPowerBelow(high - low);
  if (end <= k) return [...subtreeProof([start, end], [low, k], isKnown), mth(k, high)];
  if (k <= start) return [...subtreeProof([start, end], [k, high], isKnown), mth(low, k)];
  return [...subtreeProof([k, end], [k, high], false), mth(low, k)];
}

export const naiveReader: HashReader = (level, index) =>
  mth(index * 2 ** level, (index + 1) * 2 ** level);

/** Whether RFC 6962 §2.1 could make `[start, end)` a node of some tree. */
export function isSubtree(start: number, end: number): boolean {
  let width = 1;
  while (width < end - start) width *= 2;
  return start % width === 0;
}

function largestPowerBelow(n: number): number {
  return 2 ** Math.floor(Math.log2(n - 1));
}

export function flipBit(bytes: Uint8Array, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return flipped;
}
