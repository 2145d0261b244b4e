import { DER_TAGS, readDer } from "../der.ts";
import { derNumber } from "../der-values.ts";
import { EvidenceError } from "../evidence-error.ts";
import { commonNameOf } from "../common-name.ts";
import type { Certificate } from "../x509.ts";
import type { SnpSigningKey } from "./report.ts";
import type { SnpProduct, SnpTcb } from "./tcb.ts";

/** What AMD says in a VCEK or VLEK certificate (VCEK Certificate and KDS Interface Specification). */
export interface SnpEndorsement {
  readonly product: SnpProduct;
  readonly signingKey: SnpSigningKey;
  readonly tcb: SnpTcb;
  /** Of a VCEK: the chip that the key belongs to. */
  readonly hardwareId: Buffer | undefined;
}

/** Certificates of a chain that was verified, and the product that its root stands for. */
export interface SnpChain {
  readonly leaf: Certificate;
  readonly issuer: Certificate;
  readonly product: SnpProduct;
}

const ARC = "1.3.6.1.4.1.3704.1";
const PRODUCT_NAME = `${ARC}.2`;
const HARDWARE_ID = `${ARC}.4`;
const SPL = {
  bootloader: `${ARC}.3.1`,
  tee: `${ARC}.3.2`,
  snp: `${ARC}.3.3`,
  microcode: `${ARC}.3.8`,
  fmc: `${ARC}.3.9`,
};
const LEAF_NAMES: Readonly<Record<SnpSigningKey, string>> = { vcek: "SEV-VCEK", vlek: "SEV-VLEK" };

/**
 * Reads a verified chain. Names and extensions are compared whole: a reader that takes
 * beginnings lets one kind of certificate pass for another.
 *
 * @throws EvidenceError `ERR_EVIDENCE_CERTIFICATE`
 */
export function parseSnpEndorsement({ leaf, issuer, product }: SnpChain): SnpEndorsement {
  const signingKey = signingKeyOf(leaf);
  const expected = signingKey === "vcek" ? `SEV-${product}` : `SEV-VLEK-${product}`;
  if (commonNameOf(issuer.subject) !== expected)
    throw refused("issuer", "is not the product's own", expected);
  // Field report A2: a certificate names the stepping, too ("Milan-B0"), and a VLEK does not; only the line counts.
  const name = readDer(
    extension(leaf, PRODUCT_NAME),
    DER_TAGS.ia5String,
    "SNP product name",
  ).value.toString("latin1");
  const [, line] = /^([A-Za-z]+)(?:-[A-Z]\d)?$/.exec(name) ?? [];
  if (line !== product) throw refused("productName", "names another product", product);
  if (leaf.publicKey.asymmetricKeyDetails?.namedCurve !== "secp384r1")
    throw refused("publicKey", "is not on P-384", "secp384r1");
  const isTurin = product === "Turin";
  const tcb = {
    fmc: isTurin ? level(leaf, SPL.fmc) : undefined,
    bootloader: level(leaf, SPL.bootloader),
    tee: level(leaf, SPL.tee),
    snp: level(leaf, SPL.snp),
    microcode: level(leaf, SPL.microcode),
  };
  const hardwareId = signingKey === "vcek" ? hardwareIdOf(leaf, isTurin ? 8 : 64) : undefined;
  return { product, signingKey, tcb, hardwareId };
}

function signingKeyOf(leaf: Certificate): SnpSigningKey {
  const name = commonNameOf(leaf.subject);
  if (name === LEAF_NAMES.vcek) return "vcek";
  if (name === LEAF_NAMES.vlek) return "vlek";
  throw refused("subject", "is neither VCEK nor VLEK", "SEV-VCEK or SEV-VLEK");
}

/** Not wrapped in an OCTET STRING of its own: the extension's value is the identifier. */
function hardwareIdOf(leaf: Certificate, bytes: number): Buffer {
  const value = extension(leaf, HARDWARE_ID);
  if (value.length !== bytes) throw refused("hwid", "has another length", bytes);
  return value;
}

function level(leaf: Certificate, oid: string): number {
  return derNumber(readDer(extension(leaf, oid), DER_TAGS.integer, "SNP level"), "SNP level");
}

function extension(leaf: Certificate, oid: string): Buffer {
  const found = leaf.extensions.get(oid);
  if (found === undefined) throw refused(oid, "is missing", "present");
  return found.value;
}

function refused(field: string, problem: string, expected: string | number): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_CERTIFICATE", `SNP certificate: ${field} ${problem}`, {
    part: `certificate.${field}`,
    expected,
  });
}
