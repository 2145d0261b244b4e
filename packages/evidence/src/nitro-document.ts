import { type CborMap, type CborValue, decodeCbor } from "./cbor.ts";
import { EvidenceError } from "./evidence-error.ts";

/** What a Nitro document says (AWS, "Attestation process", §3.1). */
export interface NitroDocument {
  readonly moduleId: string;
  /** Milliseconds since 1970, by the clock of the hypervisor. */
  readonly timestamp: number;
  /** SHA-384 each, by index. */
  readonly pcrs: ReadonlyMap<number, Buffer>;
  /** PCR0 to PCR2 are zero: the enclave runs in debug mode, and whoever owns the instance reads its memory. */
  readonly debug: boolean;
  readonly publicKey: Buffer | undefined;
  readonly userData: Buffer | undefined;
  readonly nonce: Buffer | undefined;
}

export interface UnverifiedNitroDocument extends NitroDocument {
  /** DER, the leaf first, the root last. */
  readonly certificates: readonly Buffer[];
}

const WHAT = "Nitro document";
const MAX_PAYLOAD_BYTES = 16_384;
const MAX_FIELD_BYTES = 1024;
const MAX_MODULE_ID = 256;
/** `verifyChain` takes no more, the leaf among them. */
const MAX_CABUNDLE = 7;
const MAX_PCR_INDEX = 31;
const PCR_BYTES = 48;
const MEASURED = [0, 1, 2] as const;

const MEMBERS: ReadonlySet<number | string> = new Set([
  "module_id",
  "digest",
  "timestamp",
  "pcrs",
  "certificate",
  "cabundle",
  "public_key",
  "user_data",
  "nonce",
]);

/**
 * Reads the payload of a Nitro document. A member that we do not know is refused: AWS signs it, and it could say
 * something about the enclave that a policy must know before it trusts the rest.
 *
 * @throws EvidenceError
 */
export function parseNitroDocument(payload: Uint8Array): UnverifiedNitroDocument {
  const map = decodeCbor(payload, { what: WHAT, maxBytes: MAX_PAYLOAD_BYTES });
  if (!isMap(map)) throw malformed("map");
  for (const member of map.keys())
    if (!MEMBERS.has(member)) throw unsupported("a member is not known");
  if (map.get("digest") !== "SHA384") throw unsupported("digest is not SHA384");
  const pcrs = parsePcrs(map.get("pcrs"));
  return {
    moduleId: parseModuleId(map.get("module_id")),
    timestamp: parseTimestamp(map.get("timestamp")),
    pcrs,
    debug: MEASURED.every((index) => pcrs.get(index)?.every((byte) => byte === 0)),
    publicKey: parseOptional(map.get("public_key"), "public_key"),
    userData: parseOptional(map.get("user_data"), "user_data"),
    nonce: parseOptional(map.get("nonce"), "nonce"),
    certificates: [
      parseBytes(map.get("certificate"), "certificate"),
      ...parseBundle(map.get("cabundle")).toReversed(),
    ],
  };
}

function parseModuleId(value: CborValue | undefined): string {
  if (typeof value !== "string" || value.length === 0 || value.length > MAX_MODULE_ID)
    throw malformed("module_id");
  return value;
}

function parseTimestamp(value: CborValue | undefined): number {
  if (typeof value !== "number" || value < 0) throw malformed("timestamp");
  return value;
}

function parsePcrs(value: CborValue | undefined): ReadonlyMap<number, Buffer> {
  if (!isMap(value)) throw malformed("pcrs");
  const pcrs = new Map<number, Buffer>();
  for (const [index, pcr] of value) {
    if (typeof index !== "number" || index < 0 || index > MAX_PCR_INDEX) throw malformed("pcrs");
    if (!Buffer.isBuffer(pcr) || pcr.length !== PCR_BYTES) throw malformed("pcrs");
    pcrs.set(index, pcr);
  }
  // Without them nothing is said about the enclave, nor whether it is in debug mode.
  if (!MEASURED.every((index) => pcrs.has(index))) throw malformed("pcrs");
  return pcrs;
}

/** From the root down, as AWS orders it. */
function parseBundle(value: CborValue | undefined): readonly Buffer[] {
  if (!Array.isArray(value) || value.length > MAX_CABUNDLE) throw malformed("cabundle");
  return value.map((certificate) => parseBytes(certificate, "cabundle"));
}

function parseOptional(value: CborValue | undefined, member: string): Buffer | undefined {
  return value === undefined || value === null ? undefined : parseBytes(value, member);
}

function parseBytes(value: CborValue | undefined, member: string): Buffer {
  if (!Buffer.isBuffer(value) || value.length > MAX_FIELD_BYTES) throw malformed(member);
  return value;
}

function isMap(value: CborValue | undefined): value is CborMap {
  return value instanceof Map;
}

function malformed(member: string): EvidenceError {
  const problem = `${WHAT}: ${member} is not what it should be`;
  return new EvidenceError("ERR_EVIDENCE_FORMAT", problem, { part: member });
}

function unsupported(problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `${WHAT}: ${problem}`, { part: WHAT });
}
