import { EvidenceError } from "./evidence-error.ts";

/**
 * Reads a structure front to back. Whoever made the evidence controls every byte, so each read is bounded by what is
 * there, and `end` refuses what nobody read. Slices share the memory of the source.
 */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** @param what names the structure in errors: "SNP report" */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get offset(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** @throws EvidenceError `ERR_EVIDENCE_FORMAT` if fewer bytes are left */
  bytes(count: number): Buffer {
    if (count > this.left)
      throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${this.#what} is cut off`, {
        part: `${this.#what}[${this.#at}]`,
        found: this.left,
        expected: count,
      });
    const start = this.#at;
    this.#at += count;
    return this.#bytes.subarray(start, this.#at);
  }

  u8(): number {
    return this.bytes(1).readUInt8();
  }

  u16le(): number {
    return this.bytes(2).readUInt16LE();
  }

  u32le(): number {
    return this.bytes(4).readUInt32LE();
  }

  u64le(): bigint {
    return this.bytes(8).readBigUInt64LE();
  }

  u16be(): number {
    return this.bytes(2).readUInt16BE();
  }

  u32be(): number {
    return this.bytes(4).readUInt32BE();
  }

  u64be(): bigint {
    return this.bytes(8).readBigUInt64BE();
  }

  /** A field that its specification reserves: zero, or the structure is one that we do not know. */
  zeros(count: number): void {
    const start = this.#at;
    if (this.bytes(count).some((byte) => byte !== 0))
      throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${this.#what}: reserved bytes are set`, {
        part: `${this.#what}[${start}]`,
      });
  }

  /** @throws EvidenceError `ERR_EVIDENCE_FORMAT` if bytes are left over */
  end(): void {
    if (this.left > 0)
      throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${this.#what} has trailing bytes`, {
        part: `${this.#what}[${this.#at}]`,
        found: this.left,
        expected: 0,
      });
  }
}
