import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { KeyError } from "@redoubt/keys";

const KEY_BYTES = 32;
/** RFC 8410 §4: what stands before the 32 bytes in the SubjectPublicKeyInfo of an Ed25519 key. */
const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
/** RFC 7748 §4.1: the field of edwards25519. */
const P = 2n ** 255n - 19n;
const Y_MASK = 2n ** 255n - 1n;
/** The y of two of the four points of order 8; that of the others is its negative. */
const Y_ORDER_8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const Y_SMALL_ORDER = [0n, 1n, P - 1n, Y_ORDER_8, P - Y_ORDER_8] as const;

/**
 * Reads a root key from its 32 bytes (RFC 8032 §5.1.5) in base64url.
 *
 * @throws KeyError `ERR_KEY_ALG`; `Base64urlError` for another text
 */
export function parseRootPublicKey(text: string): KeyObject {
  const bytes = decodeBase64url(text, { bytes: KEY_BYTES });
  const y = BigInt(`0x${Buffer.from(bytes.toReversed()).toString("hex")}`) & Y_MASK;
  // Under a key of small order many libraries take signatures that anybody can make, so that k of n would be k - 1 of
  // n - 1 to them; and a second spelling of a point would let one key pass for two.
  if (y >= P || Y_SMALL_ORDER.some((small) => small === y))
    throw new KeyError("ERR_KEY_ALG", "Root key is not an Ed25519 key in its one encoding");
  const spki = Buffer.concat([ED25519_SPKI_PREFIX, bytes]);
  return createPublicKey({ key: spki, format: "der", type: "spki" });
}

/** @throws KeyError `ERR_KEY_ALG` unless it is the public half of an Ed25519 key */
export function encodeRootPublicKey(key: KeyObject): string {
  if (key.asymmetricKeyType !== "ed25519")
    throw new KeyError("ERR_KEY_ALG", "Root key is not an Ed25519 key");
  return encodeBase64url(key.export({ format: "der", type: "spki" }).subarray(-KEY_BYTES));
}
