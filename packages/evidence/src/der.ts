import { EvidenceError } from "./evidence-error.ts";

/** One element of DER (X.690 §8.1); both slices share the memory of the source. */
export interface DerNode {
  readonly tag: number;
  /** The contents alone. */
  readonly value: Buffer;
  /** Tag, length and contents: what a signature covers. */
  readonly encoded: Buffer;
}

export const DER_TAGS = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag of `[n]`, EXPLICIT or constructed; `contextPrimitive` is the one of an IMPLICIT primitive. */
export function contextTag(n: number): number {
  return 0xa0 + n;
}

export function contextPrimitive(n: number): number {
  return 0x80 + n;
}

/**
 * Reads the elements of one constructed value in order. Strict DER: definite, shortest lengths, tags of one byte. What
 * nobody asked for is refused by `end`, so nothing rides along unread.
 */
export class DerReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** @throws EvidenceError `ERR_EVIDENCE_FORMAT` for another tag, or where nothing is left */
  next(tag: number): DerNode {
    const node = this.#read();
    if (node.tag !== tag)
      throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${this.#what}: unexpected DER element`, {
        part: this.#what,
        found: node.tag,
        expected: tag,
      });
    this.#at += node.encoded.length;
    return node;
  }

  any(): DerNode {
    const node = this.#read();
    this.#at += node.encoded.length;
    return node;
  }

  optional(tag: number): DerNode | undefined {
    return this.#bytes[this.#at] === tag ? this.next(tag) : undefined;
  }

  /** The elements of the constructed value that comes next. */
  enter(tag: number): DerReader {
    return new DerReader(this.next(tag).value, this.#what);
  }

  end(): void {
    if (!this.isEmpty) throw this.#malformed("trailing element");
  }

  #read(): DerNode {
    const start = this.#at;
    const tag = this.#byte(start);
    if ((tag & 0x1f) === 0x1f) throw this.#malformed("long tag");
    const { length, header } = this.#length(start + 1);
    const from = start + 1 + header;
    const end = from + length;
    if (end > this.#bytes.length) throw this.#malformed("cut off");
    return {
      tag,
      value: this.#bytes.subarray(from, end),
      encoded: this.#bytes.subarray(start, end),
    };
  }

  // X.690 §10.1: definite form, in the fewest bytes. The indefinite form has no bytes of length at all.
  #length(at: number): { readonly length: number; readonly header: number } {
    const first = this.#byte(at);
    if (first < 0x80) return { length: first, header: 1 };
    const count = first - 0x80;
    let length = 0;
    for (let i = 1; i <= count; i += 1) length = length * 256 + this.#byte(at + i);
    if (length < 0x80 || length < 256 ** (count - 1)) throw this.#malformed("length not minimal");
    return { length, header: 1 + count };
  }

  #byte(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw this.#malformed("cut off");
    return byte;
  }

  #malformed(problem: string): EvidenceError {
    return new EvidenceError("ERR_EVIDENCE_FORMAT", `${this.#what}: DER, ${problem}`, {
      part: this.#what,
    });
  }
}

/** Reads one element that fills the bytes. */
export function readDer(bytes: Uint8Array, tag: number, what: string): DerNode {
  const reader = new DerReader(bytes, what);
  const node = reader.next(tag);
  reader.end();
  return node;
}
