import { verifyChain } from "../certificate-chain.ts";
import { EvidenceError } from "../evidence-error.ts";
import { verifyRawEcdsa } from "../raw-ecdsa.ts";
import { checkReportData } from "../report-data.ts";
import { parseCertificate } from "../x509.ts";
import { parseSnpEndorsement, type SnpEndorsement } from "./endorsement.ts";
import { parseSnpReport, SNP_REPORT_BYTES, type SnpReport } from "./report.ts";
import { parseSnpTcb, type SnpProduct, type SnpTcb, snpTcbText } from "./tcb.ts";

/** A root certificate's SHA-256 and the product that it stands for. */
export type SnpRoots = ReadonlyMap<string, SnpProduct>;

/** AMD's root keys (ARK). A pin is the SHA-256 of the whole certificate, as KDS serves it. */
export const AMD_ROOTS: SnpRoots = new Map([
  ["69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd", "Milan"],
  ["4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1", "Genoa"],
  ["1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a", "Turin"],
]);

/** Field report A5: the clock of AMD's key service has been ahead of ours. */
const ISSUER_CLOCK_LEEWAY_MS = 300_000;

export interface SnpEvidence {
  /** 1184 bytes. */
  readonly report: Uint8Array;
  /** DER: VCEK or VLEK, then ASK or ASVK, then ARK. */
  readonly chain: readonly Uint8Array[];
}

export interface SnpOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The 64 bytes that the guest was to put in; null says that any will do, and that the report may be an old one. */
  readonly reportData: Uint8Array | null;
  readonly roots?: SnpRoots | undefined;
}

/** A report that a genuine processor signed over, and what AMD says about that processor. */
export interface VerifiedSnp {
  readonly report: SnpReport;
  readonly product: SnpProduct;
  readonly endorsement: SnpEndorsement;
  readonly reportedTcb: SnpTcb;
  readonly committedTcb: SnpTcb;
  readonly currentTcb: SnpTcb;
}

/**
 * Verifies a SEV-SNP attestation report offline: chain to a pinned root, signature, and that certificate and report
 * speak of one product, one chip and one firmware. What the report says is for a policy to judge.
 *
 * @throws EvidenceError
 */
export function verifySnp({ report: bytes, chain }: SnpEvidence, options: SnpOptions): VerifiedSnp {
  const { now, reportData, roots = AMD_ROOTS } = options;
  if (bytes.length !== SNP_REPORT_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "SNP report: wrong length", {
      part: "report",
      found: bytes.length,
      expected: SNP_REPORT_BYTES,
    });
  const report = parseSnpReport(bytes);
  const { endorsement, publicKey } = verifyEndorsement(chain, { now, roots });
  const { product } = endorsement;
  verifyRawEcdsa(report.signed, report.signature, {
    bits: 384,
    key: publicKey,
    what: "SNP report",
    part: "report.signature",
  });
  checkProduct(report, product);
  checkKey(report, endorsement);
  const reportedTcb = parseSnpTcb(report.reportedTcb, product, "report.reportedTcb");
  const committedTcb = parseSnpTcb(report.committedTcb, product, "report.committedTcb");
  const currentTcb = parseSnpTcb(report.currentTcb, product, "report.currentTcb");
  checkTcb(reportedTcb, endorsement.tcb, [committedTcb, currentTcb]);
  checkReportData(report.reportData, reportData, {
    what: "SNP report",
    part: "report.reportData",
  });
  return { report, product, endorsement, reportedTcb, committedTcb, currentTcb };
}

function verifyEndorsement(
  chain: readonly Uint8Array[],
  { now, roots }: { now: number; roots: SnpRoots },
) {
  const [leafDer, issuerDer, rootDer] = chain;
  // The chain's length is known before anything in it is parsed.
  if (
    // mutate: without a key there is no root either.
    leafDer === undefined ||
    // mutate: without an issuer there is no root either.
    issuerDer === undefined ||
    rootDer === undefined ||
    chain.length > 3
  )
    throw new EvidenceError("ERR_EVIDENCE_CERTIFICATE", "SNP chain: expected key, ASK and ARK", {
      part: "chain",
      found: chain.length,
      expected: 3,
    });
  const root = parseCertificate(rootDer, "ARK");
  const product = roots.get(root.fingerprint);
  if (product === undefined)
    throw new EvidenceError("ERR_EVIDENCE_ROOT", "SNP chain: root is not pinned", {
      part: "chain",
      found: root.fingerprint,
    });
  const issuer = parseCertificate(issuerDer, "ASK");
  const leaf = parseCertificate(leafDer, "VCEK or VLEK");
  const pinned = new Set([root.fingerprint]);
  verifyChain([leaf, issuer, root], {
    roots: pinned,
    now,
    leewayMs: ISSUER_CLOCK_LEEWAY_MS,
    what: "SNP chain",
  });
  return { endorsement: parseSnpEndorsement({ leaf, issuer, product }), publicKey: leaf.publicKey };
}

/** CPUID families and models of the products (versions 3 and later of a report say which). */
function productOf(family: number, model: number): SnpProduct | undefined {
  if (family === 0x19 && model <= 0x0f) return "Milan";
  if (family === 0x19 && (model <= 0x1f || (model >= 0xa0 && model <= 0xaf))) return "Genoa";
  return family === 0x1a && model <= 0x1f ? "Turin" : undefined;
}

function checkProduct({ cpu, version }: SnpReport, product: SnpProduct): void {
  const found = cpu === undefined ? undefined : productOf(cpu.family, cpu.model);
  // Version 2 is older than Turin and does not say; the certificate's chain decides then.
  const matches = version === 2 ? product !== "Turin" : found === product;
  if (!matches)
    throw mismatch("report.cpuid", "processor and certificate are of two products", {
      found: found ?? "unknown",
      expected: product,
    });
}

function checkKey({ signingKey, chipId }: SnpReport, endorsement: SnpEndorsement): void {
  if (signingKey !== endorsement.signingKey)
    throw mismatch("report.signingKey", "another kind of key signed", {
      found: signingKey,
      expected: endorsement.signingKey,
    });
  const { hardwareId } = endorsement;
  if (hardwareId === undefined) return;
  // Turin's identifier has 8 bytes, and zeros after them. An identifier that the host masked is zero: it names no chip.
  const expected = Buffer.concat([hardwareId, Buffer.alloc(chipId.length - hardwareId.length)]);
  if (!chipId.equals(expected) || isZero(hardwareId))
    throw mismatch("report.chipId", "certificate is of another chip", {
      found: chipId.toString("hex", 0, hardwareId.length),
      expected: hardwareId.toString("hex"),
    });
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

// Field report A1: the key is derived from the *reported* TCB; a refusal shows all of them, or nobody finds the cause.
function checkTcb(reported: SnpTcb, certified: SnpTcb, others: readonly SnpTcb[]): void {
  const found = snpTcbText(reported);
  const expected = snpTcbText(certified);
  if (found === expected) return;
  const [committed = "", current = ""] = others.map(snpTcbText);
  throw mismatch(
    "report.reportedTcb",
    `certificate is of another TCB (committed ${committed}; current ${current})`,
    { found, expected },
  );
}

function mismatch(
  part: string,
  problem: string,
  facts: { found: string; expected: string },
): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_BINDING", `SNP: ${problem}`, { part, ...facts });
}
