import { verifyChain, type VerifiedChain } from "../certificate-chain.ts";
import { checkNotRevoked, type VerifiedCrl, verifyCrl } from "../crl.ts";
import { EvidenceError } from "../evidence-error.ts";
import { parsePemChain } from "../pem.ts";
import { verifyRawEcdsa } from "../raw-ecdsa.ts";
import type { Certificate } from "../x509.ts";
import {
  type CollateralReader,
  parseCollateralJson,
  wrongCollateral,
} from "./collateral-reader.ts";

/**
 * What Intel says about a platform, in the form that PCCS and its clients exchange: certificate chains in PEM, CRLs in
 * hexadecimal, signed JSON as the very text that was signed.
 */
export interface TdxCollateral {
  readonly pckCrlIssuerChain: string;
  readonly rootCaCrl: Buffer;
  readonly pckCrl: Buffer;
  readonly tcbInfoIssuerChain: string;
  readonly tcbInfo: string;
  readonly tcbInfoSignature: Buffer;
  readonly qeIdentityIssuerChain: string;
  readonly qeIdentity: string;
  readonly qeIdentitySignature: Buffer;
}

export interface CollateralOptions {
  readonly now: number;
  /**
   * Lowest evaluation number that counts. Old collateral is signed, too: only a number that never sinks keeps a verdict
   * from before a discovery out (field report A10).
   */
  readonly minEvaluation: number;
}

/** Collateral that Intel signed and that is current. */
export interface VerifiedCollateral {
  readonly tcbInfo: CollateralReader;
  readonly qeIdentity: CollateralReader;
  /** When the first part runs out, in milliseconds since 1970. */
  readonly expires: number;
}

const MAX_CHAIN = 3;
const SIGNATURE_BYTES = 64;

/** Reads the JSON that PCCS clients write (`sgx_ql_qve_collateral_t` by name). */
export function parseTdxCollateral(text: string | Uint8Array): TdxCollateral {
  return readTdxCollateral(parseCollateralJson(text, "collateral"));
}

export function readTdxCollateral(reader: CollateralReader): TdxCollateral {
  return {
    pckCrlIssuerChain: reader.text("pck_crl_issuer_chain"),
    rootCaCrl: hexBytes(reader, "root_ca_crl"),
    pckCrl: hexBytes(reader, "pck_crl"),
    tcbInfoIssuerChain: reader.text("tcb_info_issuer_chain"),
    tcbInfo: reader.text("tcb_info"),
    tcbInfoSignature: reader.hex("tcb_info_signature", SIGNATURE_BYTES),
    qeIdentityIssuerChain: reader.text("qe_identity_issuer_chain"),
    qeIdentity: reader.text("qe_identity"),
    qeIdentitySignature: reader.hex("qe_identity_signature", SIGNATURE_BYTES),
  };
}

function hexBytes(reader: CollateralReader, name: string): Buffer {
  return reader.hex(name, reader.text(name).length / 2);
}

/**
 * Verifies collateral and holds the PCK chain of a quote to its CRLs.
 *
 * @param pckChain PCK certificate, its authority, root
 * @throws EvidenceError
 */
export function verifyCollateral(
  collateral: TdxCollateral,
  pckChain: VerifiedChain,
  options: CollateralOptions,
): VerifiedCollateral {
  const issuer = verifyRevocation(collateral, pckChain, options);
  const tcbInfo = verifyDocument(
    {
      text: collateral.tcbInfo,
      signature: collateral.tcbInfoSignature,
      chain: collateral.tcbInfoIssuerChain,
      part: "tcbInfo",
    },
    issuer,
    options,
  );
  const qeIdentity = verifyDocument(
    {
      text: collateral.qeIdentity,
      signature: collateral.qeIdentitySignature,
      chain: collateral.qeIdentityIssuerChain,
      part: "qeIdentity",
    },
    issuer,
    options,
  );
  const next = [tcbInfo, qeIdentity].map((document) => document.time("nextUpdate"));
  return { tcbInfo, qeIdentity, expires: Math.min(issuer.crlExpires, ...next) };
}

/** The root that issued everything, and what it has revoked. */
interface RootIssuer {
  readonly root: Certificate;
  readonly rootCrl: VerifiedCrl;
  /** When the first CRL runs out, in milliseconds since 1970. */
  readonly crlExpires: number;
}

function verifyRevocation(
  collateral: TdxCollateral,
  { leaf: pck, root, certificates: [, ...authorities] }: VerifiedChain,
  { now }: CollateralOptions,
): RootIssuer {
  const issuers = parseChain(collateral.pckCrlIssuerChain, "PCK CRL issuer");
  if (fingerprintsOf(issuers) !== fingerprintsOf(authorities))
    throw wrongCollateral(
      "collateral.pckCrlIssuerChain",
      "is not the chain of the quote's certificate",
    );
  const [authority = root] = authorities;
  const rootCrl = verifyCrl(collateral.rootCaCrl, { issuer: root, now, what: "root CRL" });
  checkNotRevoked(authority, rootCrl, "PCK authority");
  const pckCrl = verifyCrl(collateral.pckCrl, { issuer: authority, now, what: "PCK CRL" });
  checkNotRevoked(pck, pckCrl, "PCK certificate");
  return { root, rootCrl, crlExpires: Math.min(rootCrl.nextUpdate, pckCrl.nextUpdate) };
}

interface SignedDocument {
  readonly text: string;
  readonly signature: Buffer;
  readonly chain: string;
  readonly part: string;
}

function verifyDocument(
  { text, signature, chain, part }: SignedDocument,
  { root, rootCrl }: RootIssuer,
  { now, minEvaluation }: CollateralOptions,
): CollateralReader {
  const certificates = parseChain(chain, `${part} issuer`);
  const roots = new Set([root.fingerprint]);
  const { leaf } = verifyChain(certificates, { roots, now, what: `${part} issuer` });
  // The list of the root speaks of what the root itself issued: a PCK certificate, whose key may have been taken out of
  // somebody's platform, signs no collateral.
  checkNotRevoked(leaf, rootCrl, `${part} issuer`);
  // The signature is over the text as it was served: to write it anew would be to guess.
  verifyRawEcdsa(Buffer.from(text), signature, {
    bits: 256,
    key: leaf.publicKey,
    what: `Collateral, ${part}`,
    part,
  });
  const document = parseCollateralJson(text, part);
  checkCurrent(document, now);
  const evaluation = document.number("tcbEvaluationDataNumber");
  if (evaluation < minEvaluation)
    throw new EvidenceError(
      "ERR_EVIDENCE_COLLATERAL",
      `Collateral, ${part}: evaluation is older than one that is known`,
      { part: `${part}.tcbEvaluationDataNumber`, found: evaluation, expected: minEvaluation },
    );
  return document;
}

function checkCurrent(document: CollateralReader, now: number): void {
  const [issued, next] = [document.time("issueDate"), document.time("nextUpdate")];
  if (now < issued || now > next)
    throw new EvidenceError(
      "ERR_EVIDENCE_COLLATERAL",
      `Collateral, ${document.part}: not current then`,
      {
        part: `${document.part}.nextUpdate`,
        found: new Date(now).toISOString(),
        expected: `${new Date(issued).toISOString()} to ${new Date(next).toISOString()}`,
      },
    );
}

function fingerprintsOf(chain: readonly Certificate[]): string {
  return chain.map(({ fingerprint }) => fingerprint).join();
}

function parseChain(text: string, what: string): readonly Certificate[] {
  return parsePemChain(text, { maxCertificates: MAX_CHAIN, what });
}
