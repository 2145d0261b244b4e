import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { WireError } from "./errors.ts";

/** docs/spec/wire.md §2: uint32be length ‖ uint8 kind ‖ uint32be id ‖ uint32be head length ‖ head ‖ attachment. */
export const FRAME_KIND = { request: 1, response: 2, error: 3, notice: 4 } as const;
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND];

export interface Frame {
  readonly kind: FrameKind;
  readonly id: number;
  readonly head: JsonObject;
  readonly attachment: Buffer;
}

const HEADER_BYTES = 13;
const FIXED_BYTES = 9;
const LENGTH_BYTES = 4;
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;
export const MAX_HEAD_BYTES = 256 * 1024;
const NOTHING = Buffer.alloc(0);

/** A message that this process made: nothing in it comes from outside, so it is not parsed again. */
export type Head = object;

/** @throws WireError `ERR_WIRE_TOO_LARGE` */
export function encodeFrame(
  kind: FrameKind,
  id: number,
  head: Head,
  attachment: Uint8Array = NOTHING,
): Buffer {
  const text = encodeHead(head);
  const headBytes = Buffer.byteLength(text, "utf8");
  const length = FIXED_BYTES + headBytes + attachment.length;
  if (headBytes > MAX_HEAD_BYTES || length > MAX_FRAME_BYTES)
    throw new WireError("ERR_WIRE_TOO_LARGE", `Frame of ${length} bytes is over the limit`);
  const frame = Buffer.allocUnsafe(4 + length);
  frame.writeUInt32BE(length, 0);
  frame.writeUInt8(kind, 4);
  frame.writeUInt32BE(id, 5);
  frame.writeUInt32BE(headBytes, 9);
  frame.write(text, HEADER_BYTES, "utf8");
  frame.set(attachment, HEADER_BYTES + headBytes);
  return frame;
}

function encodeHead(head: Head): string {
  const text = JSON.stringify(head);
  // Half a surrogate pair, for instance of a message cut in the middle, would make the other side hang up.
  return text.includes("\\ud") ? JSON.stringify(head, wellFormed) : text;
}

function wellFormed(_name: string, value: unknown): unknown {
  return typeof value === "string" ? value.toWellFormed() : value;
}

/**
 * Cuts a byte stream into frames. The other side controls every byte: lengths are checked before anything is
 * kept, at most one frame's bytes are kept, and never more than twice what has come (THREAT-26).
 */
export class FrameReader {
  readonly #maxFrameBytes: number;
  /** The beginning of a frame whose rest has not come yet; its first `#filled` bytes count. */
  #partial = NOTHING;
  #filled = 0;

  constructor(maxFrameBytes: number = MAX_FRAME_BYTES) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes that this reader holds on to. */
  get keptBytes(): number {
    return this.#partial.length;
  }

  /** @throws WireError `ERR_WIRE_FRAME` / `ERR_WIRE_TOO_LARGE`; the stream is then unusable */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    let rest = chunk;
    while (this.#filled > 0 && rest.length > 0) rest = this.#complete(rest, frames);
    // Whole frames are parsed where they lie.
    for (;;) {
      const total = this.#frameBytes(rest);
      if (total === undefined || rest.length < total) break;
      frames.push(parseFrame(rest.subarray(LENGTH_BYTES, total)));
      rest = rest.subarray(total);
    }
    this.#keep(rest, rest.length);
    return frames;
  }

  /** Adds to the unfinished frame what belongs to it; returns the bytes after it. */
  #complete(chunk: Buffer, frames: Frame[]): Buffer {
    const wanted = this.#frameBytes(this.#partial.subarray(0, this.#filled)) ?? LENGTH_BYTES;
    const taken = Math.min(wanted - this.#filled, chunk.length);
    this.#keep(chunk.subarray(0, taken), wanted);
    const total = this.#frameBytes(this.#partial.subarray(0, this.#filled));
    if (total === this.#filled) {
      frames.push(parseFrame(this.#partial.subarray(LENGTH_BYTES, total)));
      this.#partial = NOTHING;
      this.#filled = 0;
    }
    return chunk.subarray(taken);
  }

  /**
   * Copied: bytes that come one by one would cost a buffer each, and a view of a chunk's end would hold the whole chunk.
   *
   * @param wanted size of the whole frame, as far as it is known: the copy does not grow beyond it
   */
  #keep(bytes: Buffer, wanted: number): void {
    const filled = this.#filled + bytes.length;
    if (filled > this.#partial.length) {
      const larger = Buffer.alloc(Math.max(filled, Math.min(wanted, 2 * this.#filled)));
      this.#partial.copy(larger, 0, 0, this.#filled);
      this.#partial = larger;
    }
    bytes.copy(this.#partial, this.#filled);
    this.#filled = filled;
  }

  /** Size of the frame that begins here, once its length is known. */
  #frameBytes(bytes: Buffer): number | undefined {
    if (bytes.length < LENGTH_BYTES) return undefined;
    const length = bytes.readUInt32BE(0);
    if (length < FIXED_BYTES) throw new WireError("ERR_WIRE_FRAME", `Frame length: ${length}`);
    if (length > this.#maxFrameBytes)
      throw new WireError("ERR_WIRE_TOO_LARGE", `Frame of ${length} bytes is over the limit`);
    return LENGTH_BYTES + length;
  }
}

function parseFrame(bytes: Buffer): Frame {
  const kind = frameKind(bytes.readUInt8(0));
  const headBytes = bytes.readUInt32BE(5);
  if (headBytes > MAX_HEAD_BYTES || headBytes > bytes.length - FIXED_BYTES)
    throw new WireError("ERR_WIRE_FRAME", `Frame head of ${headBytes} bytes does not fit`);
  const head = bytes.subarray(FIXED_BYTES, FIXED_BYTES + headBytes);
  // A request may be under way for long, and even an empty view holds the whole chunk that it is of.
  const attachment = bytes.subarray(FIXED_BYTES + headBytes);
  return {
    kind,
    id: bytes.readUInt32BE(1),
    head: parseHead(head),
    attachment: attachment.length > 0 ? attachment : NOTHING,
  };
}

function frameKind(value: number): FrameKind {
  switch (value) {
    case 1:
    case 2:
    case 3:
    case 4:
      return value;
    default:
      throw new WireError("ERR_WIRE_FRAME", `Frame kind: ${value}`);
  }
}

function parseHead(bytes: Buffer): JsonObject {
  try {
    return parseJsonObject(bytes, { maxBytes: MAX_HEAD_BYTES, maxDepth: 8 });
  } catch (cause) {
    throw new WireError("ERR_WIRE_FRAME", "Frame head is not strict JSON", { cause });
  }
}
