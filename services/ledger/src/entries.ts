import { refusal } from "./errors.ts";

/** docs/spec/logs.md §1, §4: every entry has 65 bytes, and its tag says which kind of log it is for. */
export const ENTRY_BYTES = 65;
export const ENTRY_TAG = { issuance: 0x01, registry: 0x02 } as const;
export type LogKind = keyof typeof ENTRY_TAG;

/** In a bundle each entry stands after its length in two bytes (C2SP tlog-tiles). */
export const BUNDLED_ENTRY_BYTES = 2 + ENTRY_BYTES;
export const ENTRY_PREFIX: Uint8Array = Uint8Array.of(0, ENTRY_BYTES);

/**
 * The entries of a bundle, as views. No byte of it is trusted: a new bundle is the writer's, and a stored one may be
 * changed by whoever has the database.
 *
 * @throws ServiceError `ERR_LEDGER_ENTRY`
 */
export function splitEntries(bundle: Buffer, count: number, kind: LogKind): Buffer[] {
  if (bundle.length !== count * BUNDLED_ENTRY_BYTES)
    throw refusal("ERR_LEDGER_ENTRY", `Entry bundle: not ${count} entries of ${ENTRY_BYTES} bytes`);
  const entries: Buffer[] = [];
  for (let at = 0; at < bundle.length; at += BUNDLED_ENTRY_BYTES) {
    if (bundle.readUInt16BE(at) !== ENTRY_BYTES || bundle[at + 2] !== ENTRY_TAG[kind])
      throw refusal("ERR_LEDGER_ENTRY", `Entry ${entries.length}: not of the ${kind} form`);
    entries.push(bundle.subarray(at + 2, at + BUNDLED_ENTRY_BYTES));
  }
  return entries;
}

export function bundleEntry(entry: Uint8Array): Buffer {
  return Buffer.concat([ENTRY_PREFIX, entry]);
}
