import { createHash, type KeyObject, sign } from "node:crypto";
import type { PinnedRoots } from "../certificate-chain.ts";
import type { TdxEvidence } from "../tdx/verify-tdx.ts";
import {
  authority,
  type CertificateOptions,
  makeCertificate,
  makeCrl,
  makeSigner,
  type Signer,
  TEST_NOW,
} from "./certificates.ts";
import { der, integer, octets, oid, sequence } from "./der-writer.ts";
import { u16, u32 } from "./little-endian.ts";

const SGX = "1.2.840.113741.1.13.1";
const DAY_MS = 86_400_000;

const root = makeSigner("Root", "ecdsa-sha256");
const platformCa = makeSigner("Platform CA", "ecdsa-sha256");
const pck = makeSigner("PCK", "ecdsa-sha256");
const tcbSigner = makeSigner("TCB Signing", "ecdsa-sha256");
const attestation = makeSigner("AK", "ecdsa-sha256");
const rootDer = makeCertificate({ subject: root, issuer: root, extensions: authority() });
const caDer = makeCertificate({
  subject: platformCa,
  issuer: root,
  extensions: authority(0),
  serialNumber: 5,
});
const tcbDer = makeCertificate({ subject: tcbSigner, issuer: root, serialNumber: 6 });

export const TDX_ROOTS: PinnedRoots = new Set([createHash("sha256").update(rootDer).digest("hex")]);
/** Offsets of version 4, from the quote's beginning. */
export const TDX_OFFSETS = {
  body: 48,
  teeTcbSvn: 48,
  mrSignerSeam: 112,
  seamAttributes: 160,
  tdAttributes: 168,
  reportData: 568,
} as const;

export interface TdxSample {
  readonly version?: 4 | 5;
  readonly td15?: boolean;
  /** Changes header and body before they are signed. */
  readonly change?: (signed: Buffer) => void;
  readonly changeQe?: (report: Buffer) => void;
  readonly sgx?: Readonly<Record<string, Buffer | undefined>>;
  readonly leaf?: Partial<CertificateOptions>;
  /** Signer of the quote, where it is not the key that the enclave vouches for. */
  readonly quoteSigner?: Signer;
  readonly point?: Buffer;
  readonly certificates?: string;
  readonly types?: { readonly certification?: number; readonly chain?: number };
  readonly tcbInfo?: (info: ReturnType<typeof tcbInfo>) => object | string;
  readonly qeIdentity?: (identity: ReturnType<typeof qeIdentity>) => object | string;
  readonly crls?: {
    readonly pck?: Partial<Parameters<typeof makeCrl>[0]>;
    readonly root?: Partial<Parameters<typeof makeCrl>[0]>;
  };
  readonly tcbChain?: string;
  readonly documentSigner?: Signer;
  readonly trailing?: Buffer;
}

/** A quote of a TD, signed by a hierarchy of the test's own, with collateral. */
export function makeTdx(sample: TdxSample = {}): TdxEvidence {
  return { quote: makeQuote(sample), collateral: makeCollateral(sample) };
}

function p1363(data: Uint8Array, key: KeyObject): Buffer {
  return sign("sha256", data, { key, dsaEncoding: "ieee-p1363" });
}

export function pem(...ders: readonly Buffer[]): string {
  return ders
    .map(
      (one) =>
        `-----BEGIN CERTIFICATE-----\n${one
          .toString("base64")
          .replaceAll(/(.{64})/g, "$1\n")
          .trim()}\n-----END CERTIFICATE-----\n`,
    )
    .join("");
}

function sizedPart(bytes: Buffer): Buffer {
  return Buffer.concat([u32(bytes.length), bytes]);
}

function makeQuote(sample: TdxSample): Buffer {
  const signed = makeSigned(sample);
  sample.change?.(signed);
  const point = sample.point ?? pointOf(attestation);
  const auth = Buffer.alloc(32, 0x5a);
  const report = Buffer.alloc(384);
  report.fill(0x11, 0, 16).fill(0, 16, 20).writeUInt16LE(2, 256);
  report.writeUInt8(0x11, 48);
  report.fill(0xdc, 128, 160).writeUInt16LE(4, 258);
  report.set(createHash("sha256").update(pointOf(attestation)).update(auth).digest(), 320);
  sample.changeQe?.(report);
  const leaf = sample.leaf?.subject ?? pck;
  const certificates = sample.certificates ?? pem(leafDer(sample), caDer, rootDer);
  // A signature of a longer curve is cut: its size is fixed here.
  const inner = Buffer.concat([
    report,
    p1363(report, leaf.privateKey).subarray(0, 64),
    u16(auth.length),
    auth,
    u16(sample.types?.chain ?? 5),
    sizedPart(Buffer.from(certificates)),
  ]);
  const signature = p1363(signed, (sample.quoteSigner ?? attestation).privateKey);
  const authentication = Buffer.concat([
    signature,
    point,
    u16(sample.types?.certification ?? 6),
    sizedPart(inner),
  ]);
  return Buffer.concat([signed, sizedPart(authentication), sample.trailing ?? Buffer.alloc(20)]);
}

function leafDer(sample: TdxSample): Buffer {
  const extensions = [{ oid: SGX, value: sgxExtension(sample.sgx) }];
  return makeCertificate({
    subject: pck,
    issuer: platformCa,
    extensions,
    serialNumber: 7,
    ...sample.leaf,
  });
}

function pointOf({ publicKey }: Signer): Buffer {
  const { x = "", y = "" } = publicKey.export({ format: "jwk" });
  return Buffer.concat([x, y].map((half) => Buffer.from(half, "base64url")));
}

function makeSigned({ version = 4, td15 = false }: TdxSample): Buffer {
  const header = Buffer.alloc(48);
  header.writeUInt16LE(version, 0);
  header.writeUInt16LE(2, 2);
  header.writeUInt32LE(0x81, 4);
  header.write("939a7233f79c4ca9940a0db3957f0607", 12, "hex");
  const body = Buffer.alloc(td15 ? 648 : 584);
  body.set([4, 1, 7], 0);
  body.fill(0x21, 16, 64);
  body
    .fill(0xe7, 128, 136)
    .fill(0x31, 136, 184)
    .fill(0x41, 184, 232)
    .fill(0x51, 232, 280)
    .fill(0x61, 280, 328);
  for (const i of [0, 1, 2, 3]) body.fill(0x70 + i, 328 + 48 * i, 376 + 48 * i);
  body.fill(0xaa, 520, 584);
  if (td15) body.fill(0x81, 600, 648);
  const type =
    version === 5 ? Buffer.concat([u16(td15 ? 3 : 2), u32(body.length)]) : Buffer.alloc(0);
  return Buffer.concat([header, type, body]);
}

/** Levels of the platform: component i has i + 1, PCESVN 11. */
export function sgxExtension(changes: Readonly<Record<string, Buffer | undefined>> = {}): Buffer {
  const components = Array.from({ length: 16 }, (_, i) => [`2.${i + 1}`, integer(i + 1)] as const);
  const tcb: Readonly<Record<string, Buffer | undefined>> = {
    ...Object.fromEntries(components),
    "2.17": integer(11),
    "2.18": octets(Buffer.alloc(16, 1)),
    ...pick(changes, true),
  };
  const all: Readonly<Record<string, Buffer | undefined>> = {
    "1": octets(Buffer.alloc(16, 0xbd)),
    "2": sequence(...entries(tcb)),
    "3": octets(Buffer.alloc(2)),
    "4": octets(Buffer.from("b0c06f000000", "hex")),
    "5": der(0x0a, Buffer.of(1)),
    ...pick(changes, false),
  };
  return sequence(...entries(all));
}

function pick(changes: Readonly<Record<string, Buffer | undefined>>, isTcb: boolean) {
  return Object.fromEntries(
    Object.entries(changes).filter(([id]) => id.startsWith("2.") === isTcb),
  );
}

function entries(values: Readonly<Record<string, Buffer | undefined>>): Buffer[] {
  return Object.entries(values).flatMap(([id, value]) =>
    value === undefined ? [] : [sequence(oid(`${SGX}.${id}`), value)],
  );
}

function iso(time: number): string {
  return new Date(time).toISOString().replace(".000Z", "Z");
}

function list(svn: (i: number) => number) {
  return Array.from({ length: 16 }, (_, i) => ({ svn: svn(i) }));
}

function level(sgx: (i: number) => number, tdx: (i: number) => number, verdict: object) {
  return {
    tcb: { sgxtcbcomponents: list(sgx), pcesvn: 11, tdxtcbcomponents: list(tdx) },
    tcbDate: "2026-01-01T00:00:00Z",
    ...verdict,
  };
}

export function tcbInfo() {
  const mrsigner = "00".repeat(48);
  const masks = { mrsigner, attributes: "00".repeat(8), attributesMask: "FF".repeat(8) };
  return {
    id: "TDX",
    version: 3,
    issueDate: iso(TEST_NOW - DAY_MS),
    nextUpdate: iso(TEST_NOW + DAY_MS),
    fmspc: "B0C06F000000",
    pceId: "0000",
    tcbType: 0,
    tcbEvaluationDataNumber: 17,
    tdxModule: masks,
    tdxModuleIdentities: [
      {
        id: "TDX_01",
        ...masks,
        tcbLevels: [
          { tcb: { isvsvn: 4 }, tcbDate: "2026-02-01T00:00:00Z", tcbStatus: "UpToDate" },
          { tcb: { isvsvn: 2 }, tcbDate: "2024-01-01T00:00:00Z", tcbStatus: "OutOfDate" },
        ],
      },
    ],
    tcbLevels: [
      level(
        (i) => i + 1,
        (i) => (i === 2 ? 7 : 0),
        { tcbStatus: "UpToDate" },
      ),
      level(
        () => 0,
        () => 0,
        {
          tcbStatus: "OutOfDate",
          tcbDate: "2023-01-01T00:00:00Z",
          advisoryIDs: ["INTEL-SA-00002", "INTEL-SA-00001"],
        },
      ),
    ],
  };
}

export function qeIdentity() {
  return {
    id: "TD_QE",
    version: 2,
    issueDate: iso(TEST_NOW - DAY_MS),
    nextUpdate: iso(TEST_NOW + 2 * DAY_MS),
    tcbEvaluationDataNumber: 18,
    miscselect: "00000000",
    miscselectMask: "FFFFFFFF",
    attributes: "11000000000000000000000000000000",
    attributesMask: "FBFFFFFFFFFFFFFF0000000000000000",
    mrsigner: "DC".repeat(32),
    isvprodid: 2,
    tcbLevels: [
      { tcb: { isvsvn: 4 }, tcbDate: "2026-03-01T00:00:00Z", tcbStatus: "UpToDate" },
      { tcb: { isvsvn: 1 }, tcbDate: "2024-01-01T00:00:00Z", tcbStatus: "OutOfDate" },
    ],
  };
}

function text(document: object | string): string {
  return typeof document === "string" ? document : JSON.stringify(document);
}

function makeCollateral(sample: TdxSample): TdxEvidence["collateral"] {
  const info = text(sample.tcbInfo?.(tcbInfo()) ?? tcbInfo());
  const identity = text(sample.qeIdentity?.(qeIdentity()) ?? qeIdentity());
  const signer = sample.documentSigner ?? tcbSigner;
  const chain = sample.tcbChain ?? pem(tcbDer, rootDer);
  return {
    pckCrlIssuerChain: pem(caDer, rootDer),
    rootCaCrl: makeCrl({ issuer: root, ...sample.crls?.root }),
    pckCrl: makeCrl({ issuer: platformCa, ...sample.crls?.pck }),
    tcbInfoIssuerChain: chain,
    tcbInfo: info,
    tcbInfoSignature: p1363(Buffer.from(info), signer.privateKey),
    qeIdentityIssuerChain: pem(tcbDer, rootDer),
    qeIdentity: identity,
    qeIdentitySignature: p1363(Buffer.from(identity), tcbSigner.privateKey),
  };
}

/** A chain to the same root whose leaf signs with RSA, and what it signs. */
export function rsaDocumentSigner(): { readonly signer: Signer; readonly chain: string } {
  const signer = makeSigner("TCB Signing", "rsa-sha256");
  return {
    signer,
    chain: pem(makeCertificate({ subject: signer, issuer: root, serialNumber: 8 }), rootDer),
  };
}

/** Collateral as PCCS clients write it. */
export function collateralJson(
  collateral: TdxEvidence["collateral"],
): Readonly<Record<string, string>> {
  return {
    pck_crl_issuer_chain: collateral.pckCrlIssuerChain,
    root_ca_crl: collateral.rootCaCrl.toString("hex"),
    pck_crl: collateral.pckCrl.toString("hex"),
    tcb_info_issuer_chain: collateral.tcbInfoIssuerChain,
    tcb_info: collateral.tcbInfo,
    tcb_info_signature: collateral.tcbInfoSignature.toString("hex"),
    qe_identity_issuer_chain: collateral.qeIdentityIssuerChain,
    qe_identity: collateral.qeIdentity,
    qe_identity_signature: collateral.qeIdentitySignature.toString("hex"),
  };
}
