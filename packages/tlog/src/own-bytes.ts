/**
 * A copy in memory of its own, for bytes that are kept. A small `Buffer` is usually a view of something larger: of a
 * slab of 64 KiB, or of all that came from a socket at one time. Whoever keeps the view keeps the whole.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
