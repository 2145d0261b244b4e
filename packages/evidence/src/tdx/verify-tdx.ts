import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { type PinnedRoots, verifyChain } from "../certificate-chain.ts";
import { EvidenceError } from "../evidence-error.ts";
import { parsePemChain } from "../pem.ts";
import { verifyRawEcdsa } from "../raw-ecdsa.ts";
import { checkReportData } from "../report-data.ts";
import { appraiseTdxTcb, type TdxTcb } from "./appraise-tcb.ts";
import { type TdxCollateral, verifyCollateral } from "./collateral.ts";
import { parsePckPlatform, type PckPlatform } from "./pck-certificate.ts";
import { parseTdxQuote, type TdxQuote } from "./quote.ts";

/** Intel SGX Root CA, by the SHA-256 of the certificate. */
export const INTEL_ROOTS: PinnedRoots = new Set([
  "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
]);

export interface TdxEvidence {
  readonly quote: Uint8Array;
  readonly collateral: TdxCollateral;
}

export interface TdxOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The 64 bytes that the TD was to put in; null says that any will do, and that the quote may be an old one. */
  readonly reportData: Uint8Array | null;
  /** Lowest `tcbEvaluationDataNumber` of collateral; remember the highest that was seen. Default 0. */
  readonly minEvaluation?: number | undefined;
  readonly roots?: PinnedRoots | undefined;
}

/** A quote of a genuine platform, and what Intel says about its firmware. */
export interface VerifiedTdx {
  readonly quote: TdxQuote;
  readonly pck: PckPlatform;
  readonly tcb: TdxTcb;
  /** When the collateral runs out, in milliseconds since 1970. */
  readonly collateralExpires: number;
}

/**
 * Verifies a TDX quote offline: PCK chain to Intel's root, quoting enclave, attestation key, quote, and the collateral. A
 * level of firmware that Intel has revoked is refused; every other status is a claim for a policy.
 *
 * @throws EvidenceError
 */
export function verifyTdx(
  { quote: bytes, collateral }: TdxEvidence,
  options: TdxOptions,
): VerifiedTdx {
  const { now, reportData, minEvaluation = 0, roots = INTEL_ROOTS } = options;
  const quote = parseTdxQuote(bytes);
  const chain = parsePemChain(quote.certificates.toString("latin1"), {
    maxCertificates: 3,
    what: "PCK chain",
  });
  const pckChain = verifyChain(chain, { roots, now, what: "PCK chain" });
  const { leaf } = pckChain;
  verifyP256(quote.qeReport.encoded, quote.qeSignature, leaf.publicKey, "qeReport");
  checkAttestationKey(quote);
  verifyP256(quote.signed, quote.signature, p256Key(quote.attestationKey), "quote");
  const verified = verifyCollateral(collateral, pckChain, { now, minEvaluation });
  const pck = parsePckPlatform(leaf);
  const tcb = appraiseTdxTcb({ body: quote.body, qeReport: quote.qeReport, pck }, verified);
  checkReportData(quote.body.reportData, reportData, {
    what: "TDX quote",
    part: "quote.reportData",
  });
  return { quote, pck, tcb, collateralExpires: verified.expires };
}

function verifyP256(signed: Buffer, signature: Buffer, key: KeyObject, part: string): void {
  verifyRawEcdsa(signed, signature, { bits: 256, key, what: `TDX ${part}`, part });
}

/** The quoting enclave vouches for the key that signs quotes by its own report data. */
function checkAttestationKey({ attestationKey, qeAuthentication, qeReport }: TdxQuote): void {
  const digest = createHash("sha256").update(attestationKey).update(qeAuthentication).digest();
  if (!qeReport.reportData.equals(Buffer.concat([digest, Buffer.alloc(32)])))
    throw new EvidenceError(
      "ERR_EVIDENCE_BINDING",
      "TDX quote: the quoting enclave vouches for another key",
      { part: "quote.attestationKey" },
    );
}

function p256Key(point: Buffer): KeyObject {
  const [x, y] = [point.subarray(0, 32), point.subarray(32)].map((half) =>
    half.toString("base64url"),
  );
  try {
    return createPublicKey({
      key: { kty: "EC", crv: "P-256", x: x ?? "", y: y ?? "" },
      format: "jwk",
    });
  } catch (cause) {
    throw new EvidenceError(
      "ERR_EVIDENCE_FORMAT",
      "TDX quote: attestation key is no point of P-256",
      { part: "quote.attestationKey", cause },
    );
  }
}
