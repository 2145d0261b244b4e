import { u16, u32 } from "./little-endian.ts";

export interface PeParts {
  readonly sections: readonly (readonly [string, Buffer])[];
  /** Signatures at the end of the file. */
  readonly certificates?: Buffer;
  readonly change?: (image: Buffer) => void;
}

const HEADERS = 1024;
const OPTIONAL = 64 + 24;
const OPTIONAL_BYTES = 112 + 16 * 8;

/** Offsets in the images that `makePe` makes. */
export const PE = {
  pe: 64,
  optional: OPTIONAL,
  checksum: OPTIONAL + 64,
  certificateEntry: OPTIONAL + 144,
  sections: OPTIONAL + OPTIONAL_BYTES,
} as const;

/** A PE32+ image with these sections, each at a multiple of 512. */
export function makePe({ sections, certificates = Buffer.alloc(0), change }: PeParts): Buffer {
  const header = Buffer.alloc(HEADERS);
  header.write("MZ", 0);
  header.writeUInt32LE(PE.pe, 0x3c);
  header.write("PE\0\0", PE.pe);
  header.writeUInt16LE(sections.length, PE.pe + 6);
  header.writeUInt16LE(OPTIONAL_BYTES, PE.pe + 20);
  header.writeUInt16LE(0x20b, OPTIONAL);
  header.writeUInt32LE(HEADERS, OPTIONAL + 60);
  header.writeUInt32LE(0x1234, PE.checksum);
  header.writeUInt32LE(16, OPTIONAL + 108);
  const bodies: Buffer[] = [];
  let offset = HEADERS;
  for (const [i, [name, data]] of sections.entries()) {
    const at = PE.sections + i * 40;
    const size = Math.ceil(data.length / 512) * 512;
    header.write(name, at, "latin1");
    header.writeUInt32LE(data.length, at + 8);
    header.writeUInt32LE(size, at + 16);
    header.writeUInt32LE(offset, at + 20);
    bodies.push(Buffer.concat([data], size));
    offset += size;
  }
  header.writeUInt32LE(offset, PE.certificateEntry);
  header.writeUInt32LE(certificates.length, PE.certificateEntry + 4);
  const image = Buffer.concat([header, ...bodies, certificates]);
  change?.(image);
  return image;
}

const RESET = "de71f7007e1acb4f890e68c77e2fb44e";
const METADATA = "666588dc4a989847a75e5585a7bf67cc";
const HASHES = "1f3755723b3a044b927b1da6efa8d454";
const FOOTER = "de82b596b21ff745baeaa366c55a082d";

export interface OvmfParts {
  readonly regions?: readonly (readonly [address: number, size: number, type: number])[];
  readonly hashTable?: readonly [address: number, size: number] | undefined;
  /** Entries of the table before its footer, by GUID. */
  readonly entries?: readonly (readonly [string, Buffer])[];
  readonly size?: number;
  readonly change?: (image: Buffer) => void;
}

/** A firmware image that is nothing but its metadata. */
export function makeOvmf(parts: OvmfParts = {}): Buffer {
  const {
    regions = [
      [0x80_0000, 4096, 1],
      [0x80_1000, 4096, 2],
      [0x80_2000, 4096, 3],
      [0x80_3000, 4096, 4],
      [0x80_4000, 4096, 0x10],
    ],
    size = 4096,
  } = parts;
  const hashTable = "hashTable" in parts ? parts.hashTable : ([0x80_4c00, 1024] as const);
  const image = Buffer.alloc(size);
  const list = Buffer.concat([
    Buffer.from("ASEV"),
    u32(0),
    u32(1),
    u32(regions.length),
    ...regions.flat().map(u32),
  ]);
  const at = 256;
  list.copy(image, at);
  const defaults: readonly (readonly [string, Buffer])[] = [
    ...(hashTable === undefined ? [] : [[HASHES, Buffer.concat(hashTable.map(u32))] as const]),
    [METADATA, u32(size - at)],
    [RESET, u32(0x80_b004)],
  ];
  const entries = (parts.entries ?? defaults).map(([guid, data]) =>
    Buffer.concat([data, u16(data.length + 18), Buffer.from(guid, "hex")]),
  );
  const body = Buffer.concat(entries);
  const table = Buffer.concat([body, u16(body.length + 18), Buffer.from(FOOTER, "hex")]);
  table.copy(image, size - 32 - table.length);
  parts.change?.(image);
  return image;
}
