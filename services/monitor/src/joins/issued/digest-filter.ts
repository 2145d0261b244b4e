import { HASH_BYTES } from "@redoubt/tlog";

/** Eight bits for each digest: one of forty absent ones is taken for present, and looked for on the disk. */
const BITS_PER_DIGEST = 8;
const MIN_BITS = 256;
/** The three bytes of one place can choose from so many. */
const MAX_BITS = 2 ** 24;
/**
 * Where the bytes of a digest begin that choose its four bits. Its first bytes are not among them: they choose its
 * shelf.
 */
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
    const wanted = Math.max((digests.length / HASH_BYTES) * BITS_PER_DIGEST, MIN_BITS);
    const bits = Math.min(2 ** Math.ceil(Math.log2(wanted)), MAX_BITS);
    const filter = new DigestFilter(new Uint8Array(bits / 8));
    filter.#add(digests);
    return filter;
  }

  mayHold(digest: Buffer): boolean {
    const { bytes } = this;
    const mask = 8 * bytes.length - 1;
    for (const place of PLACES) {
      const bit = numberAt(digest, place) & mask;
      if (((bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) return false;
    }
    return true;
  }

  #add(digests: Buffer): void {
    const { bytes } = this;
    const mask = 8 * bytes.length - 1;
    for (let at = 0; at < digests.length; at += HASH_BYTES)
      for (let i = 0; i < PLACES.length; i++) {
        const bit = numberAt(digests, at + (PLACES[i] ?? 0)) & mask;
        bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) | (1 << (bit & 7));
      }
  }
}

/** 24 bits, the first byte the lowest. */
function numberAt(digests: Buffer, at: number): number {
  return (digests[at] ?? 0) | ((digests[at + 1] ?? 0) << 8) | ((digests[at + 2] ?? 0) << 16);
}
