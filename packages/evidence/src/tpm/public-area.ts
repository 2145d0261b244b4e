import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import {
  MAX_HASH_BYTES,
  TPM_ALG,
  TPM_HASHES,
  readHash,
  readSized,
  type TpmHash,
} from "./algorithms.ts";
import { u16 } from "./marshal.ts";

/** TPMA_OBJECT, TPM 2.0 Part 2 §8.3. */
export const TPMA_OBJECT = {
  fixedTPM: 1 << 1,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  userWithAuth: 1 << 6,
  adminWithPolicy: 1 << 7,
  noDA: 1 << 10,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const;

export type TpmObjectAttribute = keyof typeof TPMA_OBJECT;

export type SignatureSchemeName = "rsassa" | "rsapss" | "ecdsa";

export interface SignatureScheme {
  readonly name: SignatureSchemeName;
  readonly hash: TpmHash;
}

/** TPMT_PUBLIC of a key. */
export interface TpmPublicArea {
  readonly nameAlgorithm: TpmHash;
  /** `nameAlg ‖ H(public area)`: the identity of the key, attributes included. */
  readonly name: Buffer;
  /** TPMA_OBJECT; `hasAttribute` reads it. */
  readonly attributes: number;
  readonly authPolicy: Buffer;
  /** Bits of the AES key (mode CFB) with which a storage key protects its children. */
  readonly symmetricBits: 128 | 256 | undefined;
  /** The only scheme that the key signs with. */
  readonly scheme: SignatureScheme | undefined;
  readonly key: KeyObject;
}

export const TPM_CURVES = {
  "P-256": { id: 0x0003, size: 32 },
  "P-384": { id: 0x0004, size: 48 },
} as const;

export type TpmCurve = keyof typeof TPM_CURVES;

const RSA_BITS: readonly number[] = [2048, 3072, 4096];
/** The exponent 65537 is written as 0, its default. */
const RSA_EXPONENTS: readonly number[] = [0, 65_537];

export function hasAttribute(
  area: Pick<TpmPublicArea, "attributes">,
  attribute: TpmObjectAttribute,
): boolean {
  return (area.attributes & TPMA_OBJECT[attribute]) !== 0;
}

/**
 * Parses TPMT_PUBLIC (TPM 2.0 Part 2 §12.2.4) of an RSA key or one on P-256 or P-384.
 *
 * @throws EvidenceError
 */
export function parsePublicArea(bytes: Uint8Array): TpmPublicArea {
  const reader = new ByteReader(bytes, "public area");
  const type = reader.u16be();
  const nameAlgorithm = readHash(reader, "publicArea.nameAlg");
  const attributes = reader.u32be();
  const authPolicy = readSized(reader, MAX_HASH_BYTES, "publicArea.authPolicy");
  if (type !== TPM_ALG.rsa && type !== TPM_ALG.ecc) throw unsupported("publicArea.type", type);
  const symmetricBits = readSymmetric(reader);
  const scheme = readKeyScheme(reader, type);
  const key = publicKey(type === TPM_ALG.rsa ? readRsa(reader) : readEcc(reader));
  reader.end();
  const digest = createHash(nameAlgorithm).update(bytes).digest();
  const name = Buffer.concat([u16(TPM_HASHES[nameAlgorithm].id), digest]);
  return { nameAlgorithm, name, attributes, authPolicy, symmetricBits, scheme, key };
}

/** TPMT_SYM_DEF_OBJECT, §11.1.7. */
function readSymmetric(reader: ByteReader): 128 | 256 | undefined {
  const algorithm = reader.u16be();
  if (algorithm === TPM_ALG.null) return undefined;
  if (algorithm !== TPM_ALG.aes) throw unsupported("publicArea.symmetric", algorithm);
  const bits = reader.u16be();
  if (bits !== 128 && bits !== 256) throw unsupported("publicArea.symmetric.keyBits", bits);
  const mode = reader.u16be();
  if (mode !== TPM_ALG.cfb) throw unsupported("publicArea.symmetric.mode", mode);
  return bits;
}

/** TPMT_RSA_SCHEME or TPMT_ECC_SCHEME. A scheme of the other kind of key is refused: the bytes mean nothing. */
function readKeyScheme(reader: ByteReader, type: number): SignatureScheme | undefined {
  const id = reader.u16be();
  if (id === TPM_ALG.null) return undefined;
  const name = schemeName(id);
  if (name === undefined || (name === "ecdsa") !== (type === TPM_ALG.ecc))
    throw unsupported("publicArea.scheme", id);
  return { name, hash: readHash(reader, "publicArea.scheme.hash") };
}

/** The scheme with this TPM_ALG_ID, if it is one that is accepted. */
export function schemeName(id: number): SignatureSchemeName | undefined {
  if (id === TPM_ALG.rsassa) return "rsassa";
  if (id === TPM_ALG.rsapss) return "rsapss";
  return id === TPM_ALG.ecdsa ? "ecdsa" : undefined;
}

function readRsa(reader: ByteReader): JsonWebKey {
  const bits = reader.u16be();
  if (!RSA_BITS.includes(bits)) throw unsupported("publicArea.keyBits", bits);
  const exponent = reader.u32be();
  if (!RSA_EXPONENTS.includes(exponent)) throw unsupported("publicArea.exponent", exponent);
  const modulus = readSized(reader, bits / 8, "publicArea.unique");
  // Shorter than it says, or with leading zeros: a smaller key than its size promises.
  if (modulus.length !== bits / 8 || modulus.readUInt8() < 0x80)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "RSA modulus is not of its size", {
      part: "publicArea.unique",
      expected: bits,
    });
  return { kty: "RSA", n: modulus.toString("base64url"), e: "AQAB" };
}

function readEcc(reader: ByteReader): JsonWebKey {
  const id = reader.u16be();
  const crv = id === TPM_CURVES["P-256"].id ? "P-256" : "P-384";
  const { size } = TPM_CURVES[crv];
  if (id !== TPM_CURVES[crv].id) throw unsupported("publicArea.curveID", id);
  const kdf = reader.u16be();
  if (kdf !== TPM_ALG.null) throw unsupported("publicArea.kdf", kdf);
  return {
    kty: "EC",
    crv,
    x: padLeft(readSized(reader, size, "publicArea.unique.x"), size).toString("base64url"),
    y: padLeft(readSized(reader, size, "publicArea.unique.y"), size).toString("base64url"),
  };
}

/** Older TPMs leave out leading zeros of coordinates and of parts of a signature. */
export function padLeft(bytes: Uint8Array, size: number): Buffer {
  return Buffer.concat([Buffer.alloc(size - bytes.length), bytes]);
}

/** Node refuses a point that is not on its curve. */
function publicKey(key: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key, format: "jwk" });
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Public area holds no valid key", {
      part: "publicArea.unique",
      cause,
    });
  }
}

function unsupported(part: string, found: number): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "Kind of TPM key is not accepted", {
    part,
    found,
  });
}
