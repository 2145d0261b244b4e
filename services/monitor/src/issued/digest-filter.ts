import { HASH_BYTES } from "@redoubt/tlog";

/** Eight bits for each digest: one of forty absent ones is taken for present, and looked for on the disk. */
const BITS_PER_DIGEST = 8;
const MIN_BITS = 256;
/** Bytes of a digest that are the four places of its bits; the first ones choose its shelf. */
const PLACES = [4, 8, 12, 16] as const;

/**
 * Says of most digests that are not in a run that they are not (Bloom 1970). Whoever chooses digests can only make
 * it say "perhaps" more often, which costs a look at the disk.
 */
export class DigestFilter {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  static of(digests: Buffer): DigestFilter {
    const bits = Math.max((digests.length / HASH_BYTES) * BITS_PER_DIGEST, MIN_BITS);
    const filter = new DigestFilter(new Uint8Array(2 ** Math.ceil(Math.log2(bits)) / 8));
    for (let at = 0; at < digests.length; at += HASH_BYTES) filter.#add(digests, at);
    return filter;
  }

  mayHold(digest: Buffer): boolean {
    const { bytes } = this;
    for (const place of PLACES) {
      const bit = bitOf(digest, place, bytes);
      if (((bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) return false;
    }
    return true;
  }

  #add(digests: Buffer, at: number): void {
    const { bytes } = this;
    for (const place of PLACES) {
      const bit = bitOf(digests, at + place, bytes);
      bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) | (1 << (bit & 7));
    }
  }
}

function bitOf(digests: Buffer, at: number, { length }: Uint8Array): number {
  return digests.readUInt32LE(at) & (8 * length - 1);
}
