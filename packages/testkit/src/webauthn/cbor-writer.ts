/** What an authenticator writes: integers, bytes, text, arrays and maps. */
export type CborItem = number | string | Uint8Array | readonly CborItem[] | CborItems;
export type CborItems = ReadonlyMap<number | string, CborItem>;

/** CBOR (RFC 8949 §4.2.1) of definite length with shortest heads; members stay in the order given. */
export function cbor(item: CborItem): Buffer {
  if (typeof item === "number") return item < 0 ? head(1, -1 - item) : head(0, item);
  if (typeof item === "string")
    return Buffer.concat([head(3, Buffer.byteLength(item)), Buffer.from(item)]);
  if (item instanceof Uint8Array) return Buffer.concat([head(2, item.length), item]);
  if (item instanceof Map) {
    const entries: Buffer[] = [];
    for (const [key, value] of item) entries.push(cbor(key), cbor(value));
    return Buffer.concat([head(5, item.size), ...entries]);
  }
  const items = [...item];
  return Buffer.concat([head(4, items.length), ...items.map((each) => cbor(each))]);
}

function head(major: number, argument: number): Buffer {
  const top = major << 5;
  if (argument < 24) return Buffer.of(top + argument);
  if (argument < 256) return Buffer.of(top + 24, argument);
  if (argument >= 65_536) throw new RangeError("An authenticator writes nothing this large");
  return Buffer.of(top + 25, argument >> 8, argument & 0xff);
}
