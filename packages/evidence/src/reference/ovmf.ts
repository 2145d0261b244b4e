import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";

/** One region that OVMF wants to be there at the launch of a SEV-SNP guest. */
export interface OvmfRegion {
  readonly address: number;
  readonly size: number;
  readonly type: number;
}

/** What an OVMF image says about itself in the table before its reset vector. */
export interface OvmfMetadata {
  readonly regions: readonly OvmfRegion[];
  /** Where further processors begin. */
  readonly resetAddress: number;
  /** Where hashes of kernel, initrd and command line are put; undefined for an image that measures none. */
  readonly hashTable: { readonly address: number; readonly size: number } | undefined;
}

export const OVMF_REGION = {
  memory: 1,
  secrets: 2,
  cpuid: 3,
  svsm: 4,
  kernelHashes: 0x10,
} as const;

/** GUIDs as they stand in memory. */
const FOOTER = "de82b596b21ff745baeaa366c55a082d";
const SEV_METADATA = "666588dc4a989847a75e5585a7bf67cc";
const RESET_BLOCK = "de71f7007e1acb4f890e68c77e2fb44e";
const HASH_TABLE = "1f3755723b3a044b927b1da6efa8d454";

const RESET_VECTOR_BYTES = 32;
const ENTRY_BYTES = 18;
const MAX_REGIONS = 64;
const ASEV = 0x5645_5341;

/** @throws EvidenceError `ERR_EVIDENCE_FORMAT` */
export function parseOvmf(image: Buffer): OvmfMetadata {
  const table = parseTable(image);
  const [reset, metadata, hashes] = [RESET_BLOCK, SEV_METADATA, HASH_TABLE].map((guid) =>
    table.get(guid),
  );
  if (reset === undefined || reset.length !== 4 || metadata === undefined || metadata.length !== 4)
    throw malformed("no SEV-SNP metadata");
  return {
    regions: parseRegions(image, image.length - metadata.readUInt32LE(0)),
    resetAddress: reset.readUInt32LE(0),
    hashTable:
      hashes?.length === 8
        ? { address: hashes.readUInt32LE(0), size: hashes.readUInt32LE(4) }
        : undefined,
  };
}

/** Entries stand one before the other, each behind its data: data, length of the whole, GUID. */
function parseTable(image: Buffer): ReadonlyMap<string, Buffer> {
  const end = image.length - RESET_VECTOR_BYTES;
  if (end < ENTRY_BYTES || image.toString("hex", end - 16, end) !== FOOTER)
    throw malformed("no table");
  const total = image.readUInt16LE(end - ENTRY_BYTES);
  const begin = end - total;
  if (begin < 0 || total < ENTRY_BYTES) throw malformed("table is cut off");
  const entries = new Map<string, Buffer>();
  for (let at = end - ENTRY_BYTES; at > begin;) {
    if (at - ENTRY_BYTES < begin) throw malformed("entry is cut off");
    const size = image.readUInt16LE(at - ENTRY_BYTES);
    if (size < ENTRY_BYTES || at - size < begin) throw malformed("impossible entry");
    const guid = image.toString("hex", at - 16, at);
    if (entries.has(guid)) throw malformed("entry twice");
    entries.set(guid, image.subarray(at - size, at - ENTRY_BYTES));
    at -= size;
  }
  return entries;
}

function parseRegions(image: Buffer, at: number): readonly OvmfRegion[] {
  if (at < 0) throw malformed("metadata is cut off");
  const reader = new ByteReader(image.subarray(at), "OVMF metadata");
  if (reader.u32le() !== ASEV) throw malformed("no ASEV header");
  reader.bytes(8);
  const count = reader.u32le();
  if (count > MAX_REGIONS) throw malformed("too many regions");
  return Array.from({ length: count }, () => ({
    address: reader.u32le(),
    size: reader.u32le(),
    type: reader.u32le(),
  }));
}

function malformed(problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `OVMF: ${problem}`, { part: "ovmf" });
}
