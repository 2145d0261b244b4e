import { sha256 } from "@redoubt/tlog";
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

/**
 * What entries commit to for the bodies of one sealed blob (docs/spec/logs.md §1). THREAT-35: two entries of one blob
 * share nothing that the public can see.
 */
export class BodyCommitments {
  readonly #bytes = Buffer.alloc(34);

  constructor(blob: Buffer) {
    this.#bytes.set(sha256(blob), 2);
  }

  /** Of the body at this position. */
  of(position: number): Buffer {
    this.#bytes.writeUInt16BE(position);
    return sha256(this.#bytes);
  }
}
