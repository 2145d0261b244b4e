import { createPublicKey, type KeyObject } from "node:crypto";

/** RFC 8037 §2: the curves whose public keys are 32 bytes. */
type RawCurve = "Ed25519" | "X25519";

/** @throws TypeError for a private or another kind of key */
export function rawPublicKey(key: KeyObject, crv: RawCurve): Buffer {
  const { crv: found, x } = key.export({ format: "jwk" });
  if (found !== crv || key.type !== "public") throw new TypeError(`Not a public key of ${crv}`);
  return Buffer.from(x ?? "", "base64url");
}

export function publicKeyOf(raw: Buffer, crv: RawCurve): KeyObject {
  const key = { kty: "OKP", crv, x: raw.toString("base64url") };
  return createPublicKey({ key, format: "jwk" });
}
