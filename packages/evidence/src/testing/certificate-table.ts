import { u32 } from "./little-endian.ts";

/** A table of certificates as an SNP host writes it: by GUID, in this order. */
export function certificateTable(
  entries: readonly (readonly [guid: string, der: Buffer])[],
): Buffer {
  const head = (entries.length + 1) * 24;
  let offset = head;
  const listed = entries.map(([guid, der]) => {
    const entry = Buffer.concat([
      Buffer.from(guid.replaceAll("-", ""), "hex"),
      u32(offset),
      u32(der.length),
    ]);
    offset += der.length;
    return entry;
  });
  return Buffer.concat([...listed, Buffer.alloc(24), ...entries.map(([, der]) => der)]);
}
