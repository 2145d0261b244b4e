import {
  constants,
  createECDH,
  createHash,
  privateEncrypt,
  randomBytes,
  type KeyObject,
} from "node:crypto";

/**
 * Signatures of a digest, which node:crypto does not make: it hashes by itself. Written from the specifications, with
 * node:crypto for the arithmetic of curve and RSA.
 */

/** FIPS 186-5 §6.4.1 over P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

export interface EcdsaSignature {
  readonly r: bigint;
  readonly s: bigint;
}

export function ecdsaOfDigest(privateKey: KeyObject, digest: Uint8Array): EcdsaSignature {
  const { d = "" } = privateKey.export({ format: "jwk" });
  const once = createECDH("prime256v1");
  // An uncompressed point: 04, x, y.
  const r = numberOf(once.generateKeys().subarray(1, 33)) % ORDER;
  const k = numberOf(once.getPrivateKey());
  const product = numberOf(digest) + r * numberOf(Buffer.from(d, "base64url"));
  return { r, s: (power(k, ORDER - 2n) * (product % ORDER)) % ORDER };
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % ORDER;
    square = (square * square) % ORDER;
  }
  return result;
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

/** ECDSA-Sig-Value (RFC 3279 §2.2.3), in DER. */
export function derOf({ r, s }: EcdsaSignature): Buffer {
  const integers = Buffer.concat([derInteger(r), derInteger(s)]);
  return Buffer.concat([Buffer.from([0x30, integers.length]), integers]);
}

function derInteger(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  const padding = (bytes[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.concat([Buffer.from([0x02, bytes.length + padding.length, ...padding]), bytes]);
}

/** RFC 8017 §9.2, note 1. */
const SHA256_DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");

/** RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.1). */
export function pkcs1OfDigest(privateKey: KeyObject, digest: Uint8Array): Buffer {
  const info = Buffer.concat([SHA256_DIGEST_INFO, digest]);
  return privateEncrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, info);
}

/** RSASSA-PSS (RFC 8017 §8.1.1, §9.1.1) with SHA-256, its mask generation and a salt of 32 bytes. */
export function pssOfDigest(privateKey: KeyObject, digest: Uint8Array, bits: number): Buffer {
  const size = bits / 8;
  const salt = randomBytes(32);
  const hash = sha256(Buffer.concat([Buffer.alloc(8), digest, salt]));
  const block = Buffer.concat([Buffer.alloc(size - 32 - 32 - 2), Buffer.from([1]), salt]);
  const mask = mgf1(hash, block.length);
  const masked = Buffer.from(block.map((byte, i) => byte ^ (mask[i] ?? 0)));
  // The encoded message is one bit shorter than the modulus.
  masked[0] = (masked[0] ?? 0) & 0x7f;
  const encoded = Buffer.concat([masked, hash, Buffer.from([0xbc])]);
  return privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encoded);
}

function mgf1(seed: Buffer, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    sha256(Buffer.concat([seed, Buffer.from([0, 0, 0, i])])),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

function sha256(data: Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}
