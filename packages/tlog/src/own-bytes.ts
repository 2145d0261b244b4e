/**
 * A copy in memory of its own, for what is kept beyond the moment. A small `Buffer` is mostly a view: of a slab of
 * 64 KiB, or of all that came from a socket at one time, and whoever keeps the view keeps the whole.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
