import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";

/** Bytes of an attestation report, and how many of them its signature covers (SEV-SNP ABI, ATTESTATION_REPORT). */
export const SNP_REPORT_BYTES = 1184;
const SIGNED_BYTES = 0x2a0;

const ECDSA_P384_SHA384 = 1;
const SCALAR_BYTES = 72;
const P384_BYTES = 48;

export type SnpSigningKey = "vcek" | "vlek";

/** The guest policy that the owner of the VM fixed at its launch. */
export interface SnpPolicy {
  readonly abiMajor: number;
  readonly abiMinor: number;
  readonly allowsSmt: boolean;
  readonly allowsMigration: boolean;
  readonly isDebuggable: boolean;
  readonly isSingleSocket: boolean;
}

export interface SnpPlatform {
  readonly hasSmt: boolean;
  readonly hasTsme: boolean;
  readonly hasEcc: boolean;
  readonly isAliasCheckComplete: boolean;
}

/** A report of version 2, 3 or 5. The three TCBs are raw: their layout depends on the product. */
export interface SnpReport {
  readonly version: number;
  readonly guestSvn: number;
  readonly policy: SnpPolicy;
  readonly familyId: Buffer;
  readonly imageId: Buffer;
  readonly vmpl: number;
  readonly platform: SnpPlatform;
  readonly hasAuthorKey: boolean;
  readonly signingKey: SnpSigningKey;
  readonly reportData: Buffer;
  readonly measurement: Buffer;
  readonly hostData: Buffer;
  readonly idKeyDigest: Buffer;
  readonly authorKeyDigest: Buffer;
  readonly reportId: Buffer;
  readonly currentTcb: Buffer;
  readonly reportedTcb: Buffer;
  readonly committedTcb: Buffer;
  /** Family and model of the processor; version 2 has none. */
  readonly cpu: { readonly family: number; readonly model: number } | undefined;
  readonly chipId: Buffer;
  readonly firmware: { readonly major: number; readonly minor: number; readonly build: number };
  readonly signed: Buffer;
  /** r ‖ s, 48 bytes each, big-endian. */
  readonly signature: Buffer;
}

/** Reads a report; nothing of it is verified yet. */
export function parseSnpReport(bytes: Uint8Array): SnpReport {
  const reader = new ByteReader(bytes, "SNP report");
  const version = parseVersion(reader.u32le());
  const head = parseHead(reader, version);
  const tail = parseTail(reader, version);
  const signature = parseSignature(reader);
  const signed = Buffer.from(bytes.buffer, bytes.byteOffset, SIGNED_BYTES);
  return { ...head, ...tail, signed, signature };
}

function parseVersion(version: number): number {
  // Version 4 was never met, 1 is older than every firmware without known holes.
  if (version === 2 || version === 3 || version === 5) return version;
  throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "SNP report: unknown version", {
    part: "report.version",
    found: version,
    expected: "2, 3 or 5",
  });
}

type Head = Omit<
  SnpReport,
  "reportedTcb" | "committedTcb" | "cpu" | "chipId" | "firmware" | "signed" | "signature"
>;

function parseHead(reader: ByteReader, version: number): Head {
  const guestSvn = reader.u32le();
  const policy = parsePolicy(reader.u64le());
  const [familyId, imageId] = [reader.bytes(16), reader.bytes(16)];
  const vmpl = reader.u32le();
  if (vmpl > 3) throw malformed("vmpl", vmpl);
  const algorithm = reader.u32le();
  if (algorithm !== ECDSA_P384_SHA384)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "SNP report: unknown signature algorithm", {
      part: "report.signatureAlgo",
      found: algorithm,
      expected: ECDSA_P384_SHA384,
    });
  const currentTcb = reader.bytes(8);
  const platform = parsePlatform(reader.u64le());
  const keys = parseKeyFlags(reader.u32le());
  reader.zeros(4);
  const [reportData, measurement, hostData] = [
    reader.bytes(64),
    reader.bytes(48),
    reader.bytes(32),
  ];
  const [idKeyDigest, authorKeyDigest] = [reader.bytes(48), reader.bytes(48)];
  const reportId = reader.bytes(32);
  // REPORT_ID_MA: which migration agent; a guest that allows none has all ones there, and it is no fact of ours.
  reader.bytes(32);
  const ids = { familyId, imageId, reportId, idKeyDigest, authorKeyDigest };
  const data = { reportData, measurement, hostData };
  return { version, guestSvn, policy, vmpl, platform, currentTcb, ...ids, ...data, ...keys };
}

type Tail = Pick<SnpReport, "reportedTcb" | "committedTcb" | "cpu" | "chipId" | "firmware">;

function parseTail(reader: ByteReader, version: number): Tail {
  const reportedTcb = reader.bytes(8);
  const cpu =
    version === 2 ? undefined : { family: reader.u8(), model: reader.u8(), step: reader.u8() };
  reader.zeros(version === 2 ? 24 : 21);
  const chipId = reader.bytes(64);
  const committedTcb = reader.bytes(8);
  const firmware = { build: reader.u8(), minor: reader.u8(), major: reader.u8() };
  reader.zeros(1);
  // Committed firmware and the TCB at launch say less than the three TCBs that are kept.
  reader.bytes(3);
  reader.zeros(1);
  reader.bytes(8);
  // Since version 5: which mitigations were on at launch, and are on.
  if (version === 5) reader.bytes(16);
  reader.zeros(SIGNED_BYTES - reader.offset);
  return { reportedTcb, cpu, chipId, committedTcb, firmware };
}

// SEV-SNP ABI, GUEST_POLICY: bit 17 is one, bits 26 and above are reserved.
function parsePolicy(policy: bigint): SnpPolicy {
  const bits = Number(policy & 0xffff_ffffn);
  if (policy >> 26n !== 0n || !isSet(bits, 17))
    throw malformed("policy", `0x${policy.toString(16)}`);
  return {
    abiMajor: (bits >> 8) & 0xff,
    abiMinor: bits & 0xff,
    allowsSmt: isSet(bits, 16),
    allowsMigration: isSet(bits, 18),
    isDebuggable: isSet(bits, 19),
    isSingleSocket: isSet(bits, 20),
  };
}

// PLATFORM_INFO: newer firmware defines more bits, all of which say that something is on; none of them is needed here.
function parsePlatform(info: bigint): SnpPlatform {
  const bits = Number(info & 0xffn);
  return {
    hasSmt: isSet(bits, 0),
    hasTsme: isSet(bits, 1),
    hasEcc: isSet(bits, 2),
    isAliasCheckComplete: isSet(bits, 5),
  };
}

function parseKeyFlags(flags: number): Pick<SnpReport, "hasAuthorKey" | "signingKey"> {
  if (flags >>> 5 !== 0) throw malformed("flags", flags);
  if (isSet(flags, 1))
    throw new EvidenceError(
      "ERR_EVIDENCE_SIGNATURE",
      "SNP report: MASK_CHIP_KEY is set, so nothing is signed",
      {
        part: "report.maskChipKey",
        found: true,
        expected: false,
      },
    );
  const signingKey = (["vcek", "vlek"] as const)[(flags >> 2) & 7];
  if (signingKey === undefined)
    throw new EvidenceError("ERR_EVIDENCE_SIGNATURE", "SNP report: not signed by VCEK or VLEK", {
      part: "report.signingKey",
      found: (flags >> 2) & 7,
      expected: "0 (VCEK) or 1 (VLEK)",
    });
  return { hasAuthorKey: isSet(flags, 0), signingKey };
}

function parseSignature(reader: ByteReader): Buffer {
  const scalars = [0, 1].map(() => {
    const scalar = reader.bytes(P384_BYTES);
    reader.zeros(SCALAR_BYTES - P384_BYTES);
    return scalar.toReversed();
  });
  reader.zeros(reader.left);
  return Buffer.concat(scalars);
}

function isSet(bits: number, bit: number): boolean {
  return ((bits >>> bit) & 1) === 1;
}

function malformed(field: string, found: string | number): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `SNP report: impossible ${field}`, {
    part: `report.${field}`,
    found,
  });
}
