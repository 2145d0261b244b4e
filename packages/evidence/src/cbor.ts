import { ByteReader } from "./byte-reader.ts";
import { EvidenceError } from "./evidence-error.ts";

export type CborValue = number | string | boolean | null | Buffer | readonly CborValue[] | CborMap;
export type CborMap = ReadonlyMap<number | string, CborValue>;

export interface CborOptions {
  /** Names the document in errors. */
  readonly what: string;
  readonly maxBytes: number;
  /** A tag below 24 that the whole document may bear; every other one is refused. */
  readonly optionalTag?: number;
}

const MAX_DEPTH = 6;
const MAX_ITEMS = 512;

/** RFC 8949 §3.1. */
const MAJOR = {
  unsigned: 0,
  negative: 1,
  bytes: 2,
  text: 3,
  array: 4,
  map: 5,
  simple: 7,
} as const;

const SIMPLE: ReadonlyMap<number, boolean | null> = new Map([
  [20, false],
  [21, true],
  [22, null],
]);

// RFC 8949 §3.1: text is valid UTF-8; U+FEFF is a character like any other, not a mark to drop.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Decodes one document of deterministic CBOR (RFC 8949 §4.2.1): definite lengths, shortest heads, no key twice. The
 * order of keys is left free, because documents of Nitro are not sorted. Integers are safe ones; keys are integers or
 * text; floats are refused. Byte strings share the memory of the source.
 *
 * @throws EvidenceError `ERR_EVIDENCE_SIZE`, `ERR_EVIDENCE_FORMAT`
 */
export function decodeCbor(bytes: Uint8Array, options: CborOptions): CborValue {
  const { what, maxBytes, optionalTag } = options;
  if (bytes.length > maxBytes) throw tooLarge(what, "CBOR is too large");
  const isTagged = optionalTag !== undefined && bytes[0] === 0xc0 + optionalTag;
  const decoder = new Decoder(isTagged ? bytes.subarray(1) : bytes, what);
  const value = decoder.value(0);
  decoder.end();
  return value;
}

class Decoder {
  readonly #reader: ByteReader;
  readonly #what: string;
  #items = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#reader = new ByteReader(bytes, what);
    this.#what = what;
  }

  end(): void {
    this.#reader.end();
  }

  value(depth: number): CborValue {
    this.#items += 1;
    if (depth > MAX_DEPTH || this.#items > MAX_ITEMS)
      throw tooLarge(this.#what, "CBOR has too many items or levels");
    const head = this.#reader.u8();
    const major = head >> 5;
    const info = head & 0x1f;
    if (major === MAJOR.simple) return this.#simple(info);
    const argument = this.#argument(info);
    switch (major) {
      case MAJOR.unsigned:
        return argument;
      case MAJOR.negative:
        return -1 - argument;
      case MAJOR.bytes:
        return this.#reader.bytes(argument);
      case MAJOR.text:
        return this.#text(argument);
      case MAJOR.array:
        return this.#array(argument, depth + 1);
      case MAJOR.map:
        return this.#map(argument, depth + 1);
      default:
        throw this.#malformed("unexpected tag");
    }
  }

  #array(count: number, depth: number): readonly CborValue[] {
    const values: CborValue[] = [];
    for (let i = 0; i < count; i += 1) values.push(this.value(depth));
    return values;
  }

  #map(count: number, depth: number): CborMap {
    const map = new Map<number | string, CborValue>();
    for (let i = 0; i < count; i += 1) {
      const key = this.value(depth);
      if (typeof key !== "number" && typeof key !== "string") throw this.#malformed("kind of key");
      if (map.has(key)) throw this.#malformed("key twice");
      map.set(key, this.value(depth));
    }
    return map;
  }

  #text(length: number): string {
    const bytes = this.#reader.bytes(length);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.#malformed("invalid UTF-8");
    }
  }

  #simple(info: number): boolean | null {
    const value = SIMPLE.get(info);
    if (value === undefined) throw this.#malformed("float or simple value");
    return value;
  }

  // RFC 8949 §4.2.1: the shortest form. 28 to 30 are reserved, 31 begins an indefinite length.
  #argument(info: number): number {
    if (info < 24) return info;
    if (info > 27) throw this.#malformed("indefinite or reserved length");
    const width = 2 ** (info - 24);
    const value = Number(BigInt(`0x${this.#reader.bytes(width).toString("hex")}`));
    if (value < (width === 1 ? 24 : 256 ** (width / 2))) throw this.#malformed("not minimal");
    if (!Number.isSafeInteger(value)) throw this.#malformed("integer out of range");
    return value;
  }

  #malformed(problem: string): EvidenceError {
    return new EvidenceError("ERR_EVIDENCE_FORMAT", `${this.#what}: CBOR, ${problem}`, {
      part: `${this.#what}[${this.#reader.offset}]`,
    });
  }
}

function tooLarge(what: string, problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_SIZE", `${what}: ${problem}`, { part: what });
}
