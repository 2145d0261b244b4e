import { TlogError } from "./errors.ts";
import { TILE_WIDTH } from "./tile.ts";

/** C2SP tlog-tiles: the length prefix of an entry has 16 bits. */
export const MAX_ENTRY_BYTES = 0xffff;

const PREFIX_BYTES = 2;

/** 1 to 256 entries as they are served: each after its length in 16 bits, big-endian. Throws `ERR_TLOG_BUNDLE`. */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Buffer {
  if (entries.length < 1 || entries.length > TILE_WIDTH)
    throw malformed("Bundle needs 1 to 256 entries");
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) throw malformed("Entry is too long for a bundle");
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt16BE(entry.length);
    parts.push(prefix, entry);
  }
  return Buffer.concat(parts);
}

/** The entries of a bundle, as views of `bytes`, which may be anybody's. Throws `ERR_TLOG_BUNDLE`. */
export function parseEntryBundle(bytes: Uint8Array): Buffer[] {
  const bundle = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Buffer[] = [];
  let at = 0;
  while (at < bundle.length) {
    if (entries.length === TILE_WIDTH) throw malformed("Bundle has more than 256 entries");
    if (at + PREFIX_BYTES > bundle.length) throw malformed("Bundle ends within a length");
    const start = at + PREFIX_BYTES;
    at = start + bundle.readUInt16BE(at);
    if (at > bundle.length) throw malformed("Bundle ends within an entry");
    entries.push(bundle.subarray(start, at));
  }
  // C2SP tlog-tiles: empty tiles are not served.
  if (entries.length === 0) throw malformed("Bundle is empty");
  return entries;
}

function malformed(problem: string): TlogError {
  return new TlogError("ERR_TLOG_BUNDLE", problem);
}
