import { HASH_BYTES } from "@redoubt/tlog";

/** By the first ten bits: 64 digests, half a page, of each run that is as large as it should be. */
export const SHELVES = 1024;

export function shelfOf(digests: Buffer, at = 0): number {
  return ((digests[at] ?? 0) << 2) | ((digests[at + 1] ?? 0) >> 6);
}

/** The digests of each shelf that has any, lowest shelf first. */
export function sortByShelf(digests: Buffer): [shelf: number, digests: Buffer][] {
  const ends = new Uint32Array(SHELVES + 1);
  for (let at = 0; at < digests.length; at += HASH_BYTES) {
    const next = shelfOf(digests, at) + 1;
    ends[next] = (ends[next] ?? 0) + HASH_BYTES;
  }
  for (let i = 1; i <= SHELVES; i++) ends[i] = (ends[i] ?? 0) + (ends[i - 1] ?? 0);
  const places = ends.slice();
  const sorted = Buffer.alloc(digests.length);
  for (let at = 0; at < digests.length; at += HASH_BYTES) {
    const shelf = shelfOf(digests, at);
    const place = places[shelf] ?? 0;
    digests.copy(sorted, place, at, at + HASH_BYTES);
    places[shelf] = place + HASH_BYTES;
  }
  return Array.from({ length: SHELVES }, (_, shelf): [number, Buffer] => [
    shelf,
    sorted.subarray(ends[shelf], ends[shelf + 1]),
  ]).filter(([, part]) => part.length > 0);
}
