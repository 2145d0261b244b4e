import { sign } from "node:crypto";
import type { PinnedRoots } from "../certificate-chain.ts";
import type { CborMap, CborValue } from "../cbor.ts";
import { parseCertificate } from "../x509.ts";
import { cbor } from "./cbor-writer.ts";
import {
  authority,
  type CertificateOptions,
  type Extension,
  makeCertificate,
  makeSigner,
  type Signer,
  TEST_NOW,
} from "./certificates.ts";
import { bits } from "./der-writer.ts";

/** RFC 5280 §4.2.1.3: digitalSignature alone. */
export const SIGNING_USAGE: Extension = { oid: "2.5.29.15", value: bits(Buffer.of(0x80), 7) };

const root = makeSigner("Nitro root", "ecdsa-sha384");
const middle = makeSigner("Nitro zone", "ecdsa-sha384");
const leaf = makeSigner("Nitro enclave", "ecdsa-sha384");
const rootDer = makeCertificate({ subject: root, issuer: root, extensions: authority() });
const middleDer = makeCertificate({ subject: middle, issuer: root, extensions: authority(0) });

export const NITRO_TEST_ROOTS: PinnedRoots = new Set([
  parseCertificate(rootDer, "root").fingerprint,
]);

/** A leaf of the test's own hierarchy; `changes` make it a wrong one. */
export function nitroLeaf(changes: Partial<CertificateOptions> = {}): Buffer {
  const extensions = [SIGNING_USAGE];
  return makeCertificate({ subject: leaf, issuer: middle, extensions, ...changes });
}

export type NitroMembers = Readonly<Record<string, CborValue | undefined>>;

/** Members of a good document; `undefined` leaves one away. */
export function nitroMembers(changes: NitroMembers = {}): Map<string, CborValue> {
  const members: NitroMembers = {
    module_id: "i-0123-enc4567",
    digest: "SHA384",
    timestamp: TEST_NOW,
    pcrs: nitroPcrs(),
    certificate: nitroLeaf(),
    cabundle: [rootDer, middleDer],
    public_key: Buffer.from("public key"),
    user_data: Buffer.from("user data"),
    nonce: Buffer.from("nonce"),
    ...changes,
  };
  const map = new Map<string, CborValue>();
  for (const [key, value] of Object.entries(members)) if (value !== undefined) map.set(key, value);
  return map;
}

/** PCR0 to PCR4: 48 bytes of 1, 2, 3, … */
export function nitroPcrs(): Map<number, Buffer> {
  return new Map([0, 1, 2, 3, 4].map((index) => [index, Buffer.alloc(48, index + 1)]));
}

export interface Sign1Options {
  readonly signer?: Signer;
  readonly header?: Buffer;
  readonly unprotected?: CborMap;
  readonly context?: string;
}

/** A COSE_Sign1 over any payload, really signed. */
export function makeSign1(payload: Buffer, options: Sign1Options = {}): Buffer {
  const { signer = leaf, header = cbor(new Map([[1, -35]])), unprotected = new Map() } = options;
  const signed = cbor([options.context ?? "Signature1", header, Buffer.alloc(0), payload]);
  const signature = sign("sha384", signed, {
    key: signer.privateKey,
    dsaEncoding: "ieee-p1363",
  });
  return cbor([header, unprotected, payload, signature]);
}

export function makeNitroDocument(changes: NitroMembers = {}, options?: Sign1Options): Buffer {
  return makeSign1(cbor(nitroMembers(changes)), options);
}
