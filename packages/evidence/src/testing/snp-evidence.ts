import { createHash, sign } from "node:crypto";
import type { SnpProduct } from "../snp/tcb.ts";
import type { SnpEvidence, SnpRoots } from "../snp/verify-snp.ts";
import {
  authority,
  type CertificateOptions,
  type Extension,
  makeCertificate,
  makeSigner,
  type Signer,
} from "./certificates.ts";
import { der, integer } from "./der-writer.ts";

const ARC = "1.3.6.1.4.1.3704.1";
const CHIP = Buffer.from(Array.from({ length: 64 }, (_, i) => i + 1));

const signers = new Map<string, Signer>();

function signer(name: string, scheme: Signer["scheme"]): Signer {
  const known = signers.get(name);
  if (known !== undefined) return known;
  const made = makeSigner(name, scheme);
  signers.set(name, made);
  return made;
}

const certificates = new Map<string, Buffer>();

/** One certificate for one authority: every signature of PSS differs, and so would the pin. */
function cached(name: string, options: CertificateOptions): Buffer {
  const made = certificates.get(name) ?? makeCertificate(options);
  certificates.set(name, made);
  return made;
}

export interface SnpSample {
  readonly product?: SnpProduct;
  readonly vlek?: boolean;
  readonly version?: number;
  /** Changes the report before it is signed. */
  readonly change?: (report: Buffer) => void;
  readonly leaf?: Partial<CertificateOptions>;
  /** Extensions of the VCEK by the end of their OID; undefined leaves one out. */
  readonly extensions?: Readonly<Record<string, Buffer | undefined>>;
  readonly issuerName?: string;
  readonly leafName?: string;
}

/** Certificate levels, as in the report that `makeSnp` makes: bootloader 4, tee 1, snp 24, microcode 219, fmc 2. */
const LEVELS: Readonly<Record<string, number>> = { "3.1": 4, "3.2": 1, "3.3": 24, "3.8": 219 };

const CPU: Readonly<Record<SnpProduct, readonly [number, number]>> = {
  Milan: [0x19, 0x01],
  Genoa: [0x19, 0x11],
  Turin: [0x1a, 0x02],
};

/** A report, signed by a hierarchy of the test's own, and that hierarchy's root. */
export function makeSnp(sample: SnpSample = {}): {
  readonly evidence: SnpEvidence;
  readonly roots: SnpRoots;
} {
  const { product = "Genoa", vlek = false } = sample;
  const root = signer(`ARK-${product}`, "pss-sha384");
  const issuer = signer(
    sample.issuerName ?? (vlek ? `SEV-VLEK-${product}` : `SEV-${product}`),
    "pss-sha384",
  );
  const leaf = signer(sample.leafName ?? (vlek ? "SEV-VLEK" : "SEV-VCEK"), "ecdsa-sha384");
  const rootDer = cached(root.name, { subject: root, issuer: root, extensions: authority() });
  const issuerDer = cached(issuer.name, {
    subject: issuer,
    issuer: root,
    extensions: authority(0),
  });
  const extensions = extensionsOf(sample, product, vlek);
  const leafDer = makeCertificate({ subject: leaf, issuer, extensions, ...sample.leaf });
  const report = makeReport(sample, product, vlek);
  const signature = sign("sha384", report.subarray(0, 0x2a0), {
    key: (sample.leaf?.subject ?? leaf).privateKey,
    dsaEncoding: "ieee-p1363",
  });
  for (const [i, offset] of [0x2a0, 0x2e8].entries())
    report.set(signature.subarray(i * 48, i * 48 + 48).toReversed(), offset);
  const fingerprint = createHash("sha256").update(rootDer).digest("hex");
  return {
    evidence: { report, chain: [leafDer, issuerDer, rootDer] },
    roots: new Map([[fingerprint, product]]),
  };
}

function extensionsOf(
  { extensions = {} }: SnpSample,
  product: SnpProduct,
  vlek: boolean,
): Extension[] {
  const chip = product === "Turin" ? CHIP.subarray(0, 8) : CHIP;
  const all: Record<string, Buffer | undefined> = {
    "1": integer(0),
    "2": der(0x16, Buffer.from(vlek ? product : `${product}-B0`)),
    ...Object.fromEntries(Object.entries(LEVELS).map(([id, level]) => [id, integer(level)])),
    ...(product === "Turin" ? { "3.9": integer(2) } : {}),
    ...(vlek ? { "5": der(0x16, Buffer.from("CN=cloud")) } : { "4": chip }),
    ...extensions,
  };
  return Object.entries(all).flatMap(([id, value]) =>
    value === undefined ? [] : [{ oid: `${ARC}.${id}`, value }],
  );
}

function makeReport(
  { version = 3, change }: SnpSample,
  product: SnpProduct,
  vlek: boolean,
): Buffer {
  const report = Buffer.alloc(1184);
  report.writeUInt32LE(version, 0);
  report.writeUInt32LE(7, 4);
  report.writeBigUInt64LE(0x3001fn, 8);
  report.fill(0x0f, 0x10, 0x20).fill(0x1f, 0x20, 0x30);
  report.writeUInt32LE(1, 0x34);
  report.writeBigUInt64LE(0x25n, 0x40);
  report.writeUInt32LE(vlek ? 4 : 0, 0x48);
  report.fill(0xaa, 0x50, 0x90).fill(0xbb, 0x90, 0xc0).fill(0xcc, 0xc0, 0xe0);
  report.fill(0xdd, 0xe0, 0x110).fill(0xee, 0x110, 0x140).fill(0x11, 0x140, 0x160);
  report.fill(0xff, 0x160, 0x180);
  const tcb = product === "Turin" ? [2, 4, 1, 24, 0, 0, 0, 219] : [4, 1, 0, 0, 0, 0, 24, 219];
  for (const offset of [0x38, 0x180, 0x1e0, 0x1f0]) report.set(tcb, offset);
  if (version !== 2) report.set([...CPU[product], 1], 0x188);
  if (!vlek) report.set(product === "Turin" ? CHIP.subarray(0, 8) : CHIP, 0x1a0);
  report.set([29, 55, 1, 0, 29, 55, 1, 0], 0x1e8);
  change?.(report);
  return report;
}
