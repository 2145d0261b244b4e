import { constants, createECDH, createHash, privateEncrypt, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";

// An HSM signs the digest that it is given; node:crypto only signs what it has hashed itself.

/** Order of P-256 (SEC 2 §2.4.2). */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");

/** ECDSA with P-256 (SEC 1 §4.1.3) as r ‖ s; the nonce and its point come from ECDH. */
export function ecdsaOfDigest(digest: Uint8Array, privateKey: KeyObject): Buffer {
  const nonce = createECDH("prime256v1");
  const point = nonce.generateKeys();
  const r = toNumber(point.subarray(1, 33)) % N;
  const d = toNumber(Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url"));
  const s = (inverse(toNumber(nonce.getPrivateKey())) * (toNumber(digest) + r * d)) % N;
  return Buffer.concat([toBytes(r), toBytes(s)]);
}

/** RSASSA-PKCS1-v1_5 (RFC 8017 §9.2). */
export function pkcs1OfDigest(digest: Uint8Array, key: KeyObject): Buffer {
  return privateEncrypt(
    { key, padding: constants.RSA_PKCS1_PADDING },
    Buffer.concat([DIGEST_INFO, digest]),
  );
}

/** RSASSA-PSS (RFC 8017 §9.1.1) with SHA-256 and a salt of this length. */
export function pssOfDigest(digest: Uint8Array, key: KeyObject, saltLength = 32): Buffer {
  const length = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  const salt = randomBytes(saltLength);
  const hash = sha256(Buffer.concat([Buffer.alloc(8), digest, salt]));
  const data = Buffer.concat([Buffer.alloc(length - saltLength - 34), Buffer.of(1), salt]);
  const stream = mask(hash, data.length);
  const masked = data.map((byte, i) => byte ^ (stream[i] ?? 0));
  masked[0] = (masked[0] ?? 0) & 0x7f;
  const encoded = Buffer.concat([masked, hash, Buffer.of(0xbc)]);
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);
}

/** r ‖ s to the DER form of RFC 3279 §2.2.3. */
export function derOf(signature: Buffer): Buffer {
  const numbers = [signature.subarray(0, 32), signature.subarray(32)].map(derInteger);
  const body = Buffer.concat(numbers);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

function derInteger(number: Buffer): Buffer {
  let at = 0;
  while (at < number.length - 1 && number[at] === 0) at++;
  const pad = (number[at] ?? 0) >= 0x80 ? [0] : [];
  const bytes = Buffer.concat([Buffer.from(pad), number.subarray(at)]);
  return Buffer.concat([Buffer.of(0x02, bytes.length), bytes]);
}

// RFC 8017 §B.2.1.
function mask(seed: Buffer, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) => {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(i);
    return sha256(Buffer.concat([seed, counter]));
  });
  return Buffer.concat(blocks).subarray(0, length);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

// Fermat: N is prime.
function inverse(number: bigint): bigint {
  let result = 1n;
  let base = number % N;
  for (let exponent = N - 2n; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) result = (result * base) % N;
    base = (base * base) % N;
  }
  return result;
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function toBytes(number: bigint): Buffer {
  return Buffer.from(number.toString(16).padStart(64, "0"), "hex");
}
