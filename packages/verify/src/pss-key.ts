import { createPublicKey, type KeyObject } from "node:crypto";

// RFC 4055 §3.1: id-RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt of 32 bytes, as RFC 7518 §3.5 demands.
const PSS_SHA256_ALGORITHM = Buffer.from(
  "304106092a864886f70d01010a3034a00f300d06096086480165030402010500" +
    "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
  "hex",
);
const SEQUENCE = 0x30;
const BIT_STRING = 0x03;

/**
 * Re-wraps an RSA public key as id-RSASSA-PSS with all parameters pinned: then OpenSSL itself refuses another
 * padding, hash or salt length, and the bare KeyObject needs no options at each call.
 */
export function pinPss(key: KeyObject): KeyObject {
  const pkcs1 = key.export({ type: "pkcs1", format: "der" });
  const bits = der(BIT_STRING, Buffer.concat([Buffer.of(0), pkcs1]));
  const spki = der(SEQUENCE, Buffer.concat([PSS_SHA256_ALGORITHM, bits]));
  return createPublicKey({ key: spki, format: "der", type: "spki" });
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  // X.690 §8.1.3; keys of at most 4096 bits, so that two bytes always hold the length.
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}
