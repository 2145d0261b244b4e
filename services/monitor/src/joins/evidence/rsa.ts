import { constants, hash, publicDecrypt, type KeyObject } from "node:crypto";

const HASH_BYTES = 32;
const PSS_TRAILER = 0xbc;
/** RFC 8017 §9.2 note 1: DigestInfo of SHA-256, up to the digest. */
const SHA256_DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");

/**
 * RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2) over a SHA-256 digest. The encoded message is made anew and compared as a
 * whole: a parser of it could be shown trailing bytes (Bleichenbacher 2006).
 */
export function isRs256Signature(key: KeyObject, digest: Buffer, signature: Buffer): boolean {
  const message = recover(key, signature);
  if (!message || digest.length !== HASH_BYTES) return false;
  const info = Buffer.concat([SHA256_DIGEST_INFO, digest]);
  const padding = Buffer.alloc(message.length - info.length - 3, 0xff);
  return Buffer.concat([Buffer.of(0, 1), padding, Buffer.of(0), info]).equals(message);
}

/** RSASSA-PSS (RFC 8017 §8.1.2, §9.1.2) with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes (RFC 7518 §3.5). */
export function isPs256Signature(key: KeyObject, digest: Buffer, signature: Buffer): boolean {
  const recovered = recover(key, signature);
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (!recovered || bits === undefined || digest.length !== HASH_BYTES) return false;
  // RFC 8017 §9.1.2: the encoded message has one bit less than the modulus.
  const length = Math.ceil((bits - 1) / 8);
  if (recovered.subarray(0, recovered.length - length).some((byte) => byte !== 0)) return false;
  return isPssEncoding(recovered.subarray(recovered.length - length), bits - 1, digest);
}

function isPssEncoding(message: Buffer, bits: number, digest: Buffer): boolean {
  if (message.length < 2 * HASH_BYTES + 2 || message.at(-1) !== PSS_TRAILER) return false;
  const split = message.length - HASH_BYTES - 1;
  const seed = message.subarray(split, split + HASH_BYTES);
  // RFC 8017 §9.1.2 steps 6 and 9: the bits above the message are zero, before and after unmasking.
  const unused = (0xff << (8 - (8 * message.length - bits))) & 0xff;
  if (((message[0] ?? 0) & unused) !== 0) return false;
  const block = xor(message.subarray(0, split), mgf1(seed, split));
  block[0] = (block[0] ?? 0) & ~unused;
  const saltAt = split - HASH_BYTES;
  const isPadded = block.subarray(0, saltAt - 1).every((byte) => byte === 0);
  if (!isPadded || block[saltAt - 1] !== 1) return false;
  const salt = block.subarray(saltAt);
  return sha256(Buffer.concat([Buffer.alloc(8), digest, salt])).equals(seed);
}

/** The public operation alone, or undefined when the signature is no number below the modulus. */
function recover(key: KeyObject, signature: Buffer): Buffer | undefined {
  const bits = key.asymmetricKeyDetails?.modulusLength;
  // RFC 8017 §8.2.2 step 1: exactly the length of the modulus.
  if (bits === undefined || signature.length !== Math.ceil(bits / 8)) return undefined;
  try {
    return publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, signature);
  } catch {
    return undefined;
  }
}

/** RFC 8017 §B.2.1. */
function mgf1(seed: Buffer, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let counter = 0; counter * HASH_BYTES < length; counter++) {
    const suffix = Buffer.alloc(4);
    suffix.writeUInt32BE(counter);
    blocks.push(sha256(Buffer.concat([seed, suffix])));
  }
  return Buffer.concat(blocks).subarray(0, length);
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));
}

function sha256(bytes: Buffer): Buffer {
  return hash("sha256", bytes, "buffer");
}
