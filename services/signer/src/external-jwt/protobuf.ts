import { ServiceError } from "@redoubt/base";

/** Protocol Buffers encoding, "Message structure": the wire types that proto3 uses. */
export const WIRE_TYPE = { varint: 0, fixed64: 1, length: 2, fixed32: 5 } as const;

export interface Field {
  readonly number: number;
  readonly wireType: number;
}

const MAX_VARINT_BYTES = 10;
/** Tags and lengths are 32-bit numbers. */
const MAX_UINT32_BYTES = 5;
const MAX_UINT32 = 0xffff_ffff;
/** THREAT-26: none of our messages has more than three, a newer client may know a few more. */
const MAX_FIELDS = 64;

// A byte order mark stays in the text, where whoever reads the text refuses it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads one message that somebody else wrote; its size is bounded by whoever cut it out. Stricter than proto3 asks:
 * groups, a known field of another type, and a second value of a single field are refused, not skipped or replaced.
 * Every failure is a ServiceError `ERR_WIRE_FRAME`.
 */
export class ProtobufReader {
  readonly #bytes: Buffer;
  #at = 0;
  #fields = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The next field's tag, or undefined at the end. */
  next(): Field | undefined {
    if (this.#at === this.#bytes.length) return undefined;
    this.#fields += 1;
    if (this.#fields > MAX_FIELDS) throw malformed("too many fields");
    const head = this.#uint32();
    const field = { number: head >>> 3, wireType: head & 7 };
    if (field.number === 0) throw malformed("field number 0");
    return field;
  }

  /** The text of a field whose tag was read. */
  string({ wireType }: Field): string {
    if (wireType !== WIRE_TYPE.length) throw malformed("field of another type");
    try {
      return utf8.decode(this.#take(this.#uint32()));
    } catch (cause) {
      if (cause instanceof ServiceError) throw cause;
      throw malformed("text is not UTF-8");
    }
  }

  /** Passes over a field that nobody here knows. */
  skip({ wireType }: Field): void {
    switch (wireType) {
      case WIRE_TYPE.varint:
        return this.#skipVarint();
      case WIRE_TYPE.fixed64:
        return void this.#take(8);
      case WIRE_TYPE.length:
        return void this.#take(this.#uint32());
      case WIRE_TYPE.fixed32:
        return void this.#take(4);
      default:
        throw malformed("unknown wire type");
    }
  }

  #uint32(): number {
    let value = 0;
    for (let place = 0; place < MAX_UINT32_BYTES; place += 1) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (value > MAX_UINT32) throw malformed("number over 32 bits");
      if (byte < 0x80) return value;
    }
    throw malformed("number over 32 bits");
  }

  #skipVarint(): void {
    for (let place = 0; place < MAX_VARINT_BYTES; place += 1) {
      const byte = this.#byte();
      // The tenth byte holds the 64th bit and nothing else.
      if (place === MAX_VARINT_BYTES - 1 && byte > 1) throw malformed("number over 64 bits");
      if (byte < 0x80) return;
    }
  }

  #byte(): number {
    const [byte = 0] = this.#take(1);
    return byte;
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw malformed("ends within a field");
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }
}

function malformed(what: string): ServiceError {
  return new ServiceError("ERR_WIRE_FRAME", `Protocol buffer: ${what}`);
}

/** Writes one message, fields in the order of the calls; proto3 leaves out what has its type's zero value. */
export class ProtobufWriter {
  readonly #parts: Buffer[] = [];

  string(number: number, value: string): this {
    return value === "" ? this : this.message(number, Buffer.from(value, "utf8"));
  }

  bytes(number: number, value: Buffer): this {
    return value.length === 0 ? this : this.message(number, value);
  }

  /** A 64-bit number that is not negative. */
  integer(number: number, value: number): this {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError("Protocol buffer number: expected a safe integer from 0");
    if (value > 0) this.#parts.push(tag(number, WIRE_TYPE.varint), varint(value));
    return this;
  }

  /** A message within this one; written even where it is empty, since its presence says something. */
  message(number: number, value: Buffer): this {
    this.#parts.push(tag(number, WIRE_TYPE.length), varint(value.length), value);
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function tag(number: number, wireType: number): Buffer {
  return varint(number * 8 + wireType);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Buffer.from([...bytes, rest]);
}
