import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import { TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { type BootEvent, EVENT_TYPES, type EventLog, type EventLogKind } from "./event-log.ts";

const MAX_BYTES = 1_048_576;
const MAX_EVENTS = 4096;
const MAX_ALGORITHMS = 8;
const MAX_EVENT_BYTES = 262_144;
const MAX_REGISTER: Readonly<Record<EventLogKind, number>> = { tcg2: 23, ccel: 4 };
const HEADER_REGISTER: Readonly<Record<EventLogKind, number>> = { tcg2: 0, ccel: 1 };
const SPEC_ID = Buffer.from("Spec ID Event03\0");
const SHA1_BYTES = 20;
const WHAT = "Event log";

/** Digest sizes by TPM algorithm; SHA-1 and SM3 are skipped, not used. */
const SIZES: ReadonlyMap<number, number> = new Map([
  [0x0004, SHA1_BYTES],
  [0x0012, 32],
  ...Object.values(TPM_HASHES).map(({ id, size }) => [id, size] as const),
]);
const NAMES: ReadonlyMap<number, TpmHash> = new Map([
  [TPM_HASHES.sha256.id, "sha256"],
  [TPM_HASHES.sha384.id, "sha384"],
  [TPM_HASHES.sha512.id, "sha512"],
]);

/**
 * Reads a crypto-agile event log (TCG PFP §10.2), as Linux shows it in `binary_bios_measurements`, or a CCEL table. A log
 * proves nothing by itself: `checkReplay` holds it to what was signed.
 *
 * @throws EvidenceError `ERR_EVIDENCE_FORMAT`, `ERR_EVIDENCE_SIZE`, `ERR_EVIDENCE_UNSUPPORTED`
 */
export function parseEventLog(bytes: Uint8Array, kind: EventLogKind): EventLog {
  if (bytes.length > MAX_BYTES) throw tooLarge("log", bytes.length, MAX_BYTES);
  const reader = new ByteReader(bytes, WHAT);
  const algorithms = parseHeader(reader, kind);
  const events: BootEvent[] = [];
  while (reader.left > 0 && !isPadding(reader, bytes, kind)) {
    if (events.length === MAX_EVENTS) throw tooLarge("events", events.length, MAX_EVENTS);
    events.push(parseEvent(reader, algorithms, kind));
  }
  return { kind, events };
}

/** The table of a CCEL is larger than its events; firmware fills it up with 0xff. */
function isPadding(reader: ByteReader, bytes: Uint8Array, kind: EventLogKind): boolean {
  return kind === "ccel" && bytes.subarray(reader.offset).every((byte) => byte === 0xff);
}

// PFP §10.2.1: the first event has the old form, so that old readers skip it.
function parseHeader(reader: ByteReader, kind: EventLogKind): readonly number[] {
  const [register, type] = [reader.u32le(), reader.u32le()];
  // Field report A13: firmware that keeps SHA-1 alone writes a log without this header.
  if (register !== HEADER_REGISTER[kind] || type !== EVENT_TYPES.noAction) throw notCryptoAgile();
  reader.zeros(SHA1_BYTES);
  const header = new ByteReader(reader.bytes(boundedSize(reader)), `${WHAT} header`);
  if (!header.bytes(SPEC_ID.length).equals(SPEC_ID)) throw notCryptoAgile();
  // Platform class, version of the specification, size of UINTN: none of them changes the form.
  header.bytes(8);
  const count = header.u32le();
  if (count === 0 || count > MAX_ALGORITHMS) throw malformed("impossible number of algorithms");
  const algorithms = Array.from({ length: count }, () => {
    const id = header.u16le();
    if (header.u16le() !== SIZES.get(id))
      throw malformed("unknown algorithm, or another digest size");
    return id;
  });
  if (new Set(algorithms).size !== count) throw malformed("an algorithm twice");
  header.bytes(header.u8());
  header.end();
  return algorithms;
}

function parseEvent(
  reader: ByteReader,
  algorithms: readonly number[],
  kind: EventLogKind,
): BootEvent {
  const register = reader.u32le();
  const type = reader.u32le();
  if (register > MAX_REGISTER[kind]) throw malformed("impossible register");
  // A count that is not the header's would make the next reader see other events.
  if (reader.u32le() !== algorithms.length) throw malformed("impossible number of digests");
  const digests = new Map<TpmHash, Buffer>();
  for (const expected of algorithms) {
    const id = reader.u16le();
    if (id !== expected) throw malformed("digests in another order");
    const digest = reader.bytes(SIZES.get(id) ?? 0);
    const name = NAMES.get(id);
    if (name !== undefined) digests.set(name, digest);
  }
  const data = reader.bytes(boundedSize(reader));
  return { register, type, digests, data };
}

function boundedSize(reader: ByteReader): number {
  const size = reader.u32le();
  if (size > MAX_EVENT_BYTES) throw tooLarge("event", size, MAX_EVENT_BYTES);
  return size;
}

function notCryptoAgile(): EvidenceError {
  return new EvidenceError(
    "ERR_EVIDENCE_UNSUPPORTED",
    `${WHAT}: no crypto-agile log of this kind`,
    {
      part: "eventLog",
    },
  );
}

function malformed(problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `${WHAT}: ${problem}`, { part: "eventLog" });
}

function tooLarge(part: string, found: number, expected: number): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_SIZE", `${WHAT}: too large`, {
    part: `eventLog.${part}`,
    found,
    expected,
  });
}
