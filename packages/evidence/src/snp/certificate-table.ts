import { EvidenceError } from "../evidence-error.ts";

/** GHCB specification, "SNP Extended Guest Request": the bytes of a GUID stand as it is written, nothing is swapped. */
const GUIDS: ReadonlyMap<string, SnpCertificateName> = new Map([
  ["63da758de6644564adc5f4b93be8accd", "vcek"],
  ["a8074bc2a25a483eaae639c045a0b8a1", "vlek"],
  ["4ab7b379bbac4fe4a02f05aef327c782", "ask"],
  ["c0b406a4a803495297433fb6014cd0ae", "ark"],
]);
const GUID_BYTES = 16;
const ENTRY_BYTES = 24;
/** A host may add entries of its own. */
const MAX_ENTRIES = 32;

export type SnpCertificateName = "vcek" | "vlek" | "ask" | "ark";

/**
 * Reads the certificates that a host hands to its guest beside a report: entries of GUID, offset and length, up to one
 * that is zero, then the bytes. The host wrote them: nothing is verified, and entries of others are left alone. Many
 * hosts give an empty table, and some only the key's certificate.
 *
 * @throws EvidenceError `ERR_EVIDENCE_FORMAT`
 */
export function parseSnpCertificateTable(
  table: Uint8Array,
): ReadonlyMap<SnpCertificateName, Buffer> {
  const found = new Map<SnpCertificateName, Buffer>();
  const bytes = Buffer.from(table);
  for (let index = 0; bytes.length > 0; index += 1) {
    const start = index * ENTRY_BYTES;
    const entry = bytes.subarray(start, start + ENTRY_BYTES);
    if (entry.length < ENTRY_BYTES || index === MAX_ENTRIES) throw wrong("has no end", index);
    if (entry.every((byte) => byte === 0)) break;
    const name = GUIDS.get(entry.toString("hex", 0, GUID_BYTES));
    if (name === undefined) continue;
    const [from, length] = [entry.readUInt32LE(GUID_BYTES), entry.readUInt32LE(GUID_BYTES + 4)];
    if (length === 0 || from + length > bytes.length)
      throw wrong("has an entry that points outside", index);
    if (found.has(name)) throw wrong("has an entry twice", index);
    found.set(name, bytes.subarray(from, from + length));
  }
  return found;
}

function wrong(problem: string, index: number): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `SNP certificate table ${problem}`, {
    part: `auxblob[${index}]`,
  });
}
