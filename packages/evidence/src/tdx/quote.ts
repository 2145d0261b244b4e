import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";

/** What a TD says of itself and of its platform (TDX DCAP Quote Generation, TD Quote Body). */
export interface TdReport {
  readonly teeTcbSvn: Buffer;
  readonly mrSeam: Buffer;
  readonly mrSignerSeam: Buffer;
  readonly seamAttributes: Buffer;
  readonly tdAttributes: Buffer;
  readonly xfam: Buffer;
  readonly mrTd: Buffer;
  readonly mrConfigId: Buffer;
  readonly mrOwner: Buffer;
  readonly mrOwnerConfig: Buffer;
  readonly rtmrs: readonly Buffer[];
  readonly reportData: Buffer;
  /** Since TDX 1.5: the service TD that is bound to this one. */
  readonly mrServiceTd: Buffer | undefined;
}

/** The report of the quoting enclave (SGX REPORTBODY), 384 bytes. */
export interface QeReport {
  readonly encoded: Buffer;
  readonly miscSelect: Buffer;
  readonly attributes: Buffer;
  readonly mrSigner: Buffer;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly reportData: Buffer;
}

/** A quote of version 4 or 5; nothing of it is verified yet. */
export interface TdxQuote {
  readonly version: number;
  readonly body: TdReport;
  /** Header and body: what the attestation key signed. */
  readonly signed: Buffer;
  readonly signature: Buffer;
  /** x ‖ y on P-256. */
  readonly attestationKey: Buffer;
  readonly qeReport: QeReport;
  readonly qeSignature: Buffer;
  readonly qeAuthentication: Buffer;
  /** PEM text: PCK certificate, its authority, root. */
  readonly certificates: Buffer;
}

const MAX_BYTES = 32_768;
const HEADER_BYTES = 48;
const ECDSA_P256 = 2;
const TEE_TDX = 0x81;
const QE_VENDOR_INTEL = Buffer.from("939a7233f79c4ca9940a0db3957f0607", "hex");
const QE_REPORT_CERTIFICATION = 6;
const PCK_CHAIN = 5;
/** By the type of a version 5 body: bytes. */
const BODY_SIZES: ReadonlyMap<number, number> = new Map([
  [2, 584],
  [3, 648],
]);
const TD_1_5 = 3;
const WHAT = "TDX quote";

/** @throws EvidenceError */
export function parseTdxQuote(bytes: Uint8Array): TdxQuote {
  if (bytes.length > MAX_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", `${WHAT} is too large`, {
      part: "quote",
      found: bytes.length,
      expected: MAX_BYTES,
    });
  const reader = new ByteReader(bytes, WHAT);
  const version = parseHeader(reader);
  const type = version === 4 ? 2 : parseBodyType(reader);
  const body = parseTdReport(reader, type === TD_1_5);
  const signed = Buffer.from(bytes.buffer, bytes.byteOffset, reader.offset);
  const authentication = new ByteReader(reader.bytes(reader.u32le()), `${WHAT} signature`);
  // Quotes come in buffers of fixed size.
  reader.zeros(reader.left);
  return { version, body, signed, ...parseAuthentication(authentication) };
}

function parseHeader(reader: ByteReader): number {
  const version = reader.u16le();
  if (version !== 4 && version !== 5) throw unsupported("version", version, "4 or 5");
  const keyType = reader.u16le();
  if (keyType !== ECDSA_P256) throw unsupported("attestationKeyType", keyType, ECDSA_P256);
  const tee = reader.u32le();
  if (tee !== TEE_TDX) throw unsupported("teeType", tee, TEE_TDX);
  // Two levels that older formats had here; what counts is in the certificates.
  reader.bytes(4);
  if (!reader.bytes(16).equals(QE_VENDOR_INTEL)) throw unsupported("qeVendor", "another", "Intel");
  reader.bytes(HEADER_BYTES - reader.offset);
  return version;
}

function parseBodyType(reader: ByteReader): number {
  const type = reader.u16le();
  const size = BODY_SIZES.get(type);
  if (size === undefined) throw unsupported("bodyType", type, "2 or 3");
  const found = reader.u32le();
  if (found !== size)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${WHAT}: size of the body`, {
      part: "quote.bodySize",
      found,
      expected: size,
    });
  return type;
}

function parseTdReport(reader: ByteReader, isTd15: boolean): TdReport {
  const report = {
    teeTcbSvn: reader.bytes(16),
    mrSeam: reader.bytes(48),
    mrSignerSeam: reader.bytes(48),
    seamAttributes: reader.bytes(8),
    tdAttributes: reader.bytes(8),
    xfam: reader.bytes(8),
    mrTd: reader.bytes(48),
    mrConfigId: reader.bytes(48),
    mrOwner: reader.bytes(48),
    mrOwnerConfig: reader.bytes(48),
    rtmrs: [0, 1, 2, 3].map(() => reader.bytes(48)),
    reportData: reader.bytes(64),
  };
  if (!isTd15) return { ...report, mrServiceTd: undefined };
  // TEE_TCB_SVN_2: the module after an update under the running TD. Intel's levels judge the one that launched it.
  reader.bytes(16);
  return { ...report, mrServiceTd: reader.bytes(48) };
}

type Authentication = Omit<TdxQuote, "version" | "body" | "signed">;

function parseAuthentication(reader: ByteReader): Authentication {
  const [signature, attestationKey] = [reader.bytes(64), reader.bytes(64)];
  const type = reader.u16le();
  if (type !== QE_REPORT_CERTIFICATION)
    throw unsupported("certificationType", type, QE_REPORT_CERTIFICATION);
  const inner = new ByteReader(reader.bytes(reader.u32le()), `${WHAT} certification`);
  reader.end();
  const qeReport = parseQeReport(inner.bytes(384));
  const qeSignature = inner.bytes(64);
  const qeAuthentication = inner.bytes(inner.u16le());
  const chainType = inner.u16le();
  if (chainType !== PCK_CHAIN) throw unsupported("certificateType", chainType, PCK_CHAIN);
  const certificates = inner.bytes(inner.u32le());
  inner.end();
  return { signature, attestationKey, qeReport, qeSignature, qeAuthentication, certificates };
}

function parseQeReport(encoded: Buffer): QeReport {
  return {
    encoded,
    miscSelect: encoded.subarray(16, 20),
    attributes: encoded.subarray(48, 64),
    mrSigner: encoded.subarray(128, 160),
    isvProdId: encoded.readUInt16LE(256),
    isvSvn: encoded.readUInt16LE(258),
    reportData: encoded.subarray(320, 384),
  };
}

function unsupported(
  field: string,
  found: number | string,
  expected: number | string,
): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `${WHAT}: unknown ${field}`, {
    part: `quote.${field}`,
    found,
    expected,
  });
}
