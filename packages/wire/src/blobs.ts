import { createHash } from "node:crypto";
import { WireError } from "./errors.ts";

/** docs/spec/wire.md §4: uint32be length ‖ bytes, for each blob. */
export function joinBlobs(blobs: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const blob of blobs) {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(blob.length);
    parts.push(length, blob);
  }
  return Buffer.concat(parts);
}

/** @throws WireError `ERR_WIRE_FRAME` when a length does not fit or there are more than `max` */
export function splitBlobs(bytes: Buffer, max = 4096): Buffer[] {
  const blobs: Buffer[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (bytes.length - offset < 4 || blobs.length >= max)
      throw new WireError("ERR_WIRE_FRAME", "Blobs are cut short or too many");
    const length = bytes.readUInt32BE(offset);
    offset += 4;
    if (length > bytes.length - offset)
      throw new WireError("ERR_WIRE_FRAME", "Blob is longer than its frame");
    blobs.push(bytes.subarray(offset, offset + length));
    offset += length;
  }
  return blobs;
}

/** docs/spec/logs.md §1: how an entry commits to the body at a position of a sealed blob. */
export function bodyCommitment(blobDigest: Uint8Array, position: number): Buffer {
  const place = Buffer.of(position >>> 8, position & 0xff);
  return createHash("sha256").update(place).update(blobDigest).digest();
}
