import type { CborValue } from "../cbor.ts";

/** Writes CBOR for tests, in the order that it is given; what is strict lives in the reader. */
export function cbor(value: CborValue): Buffer {
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === "boolean") return Buffer.of(value ? 0xf5 : 0xf4);
  if (typeof value === "number") return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value);
  if (typeof value === "string") {
    const bytes = Buffer.from(value);
    return Buffer.concat([cborHead(3, bytes.length), bytes]);
  }
  if (Buffer.isBuffer(value)) return Buffer.concat([cborHead(2, value.length), value]);
  if (value instanceof Map) {
    const entries = [...value].flatMap(([key, member]) => [cbor(key), cbor(member)]);
    return Buffer.concat([cborHead(5, value.size), ...entries]);
  }
  const items = [...value];
  return Buffer.concat([cborHead(4, items.length), ...items.map((item) => cbor(item))]);
}

export function cborHead(major: number, argument: number): Buffer {
  const top = major << 5;
  if (argument < 24) return Buffer.of(top + argument);
  if (argument < 256) return Buffer.of(top + 24, argument);
  const info = argument < 65_536 ? 25 : argument < 2 ** 32 ? 26 : 27;
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64BE(BigInt(argument), 1);
  const width = 2 ** (info - 24);
  return Buffer.concat([Buffer.of(top + info), bytes.subarray(9 - width)]);
}
