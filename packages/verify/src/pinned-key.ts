import { createPublicKey, hash, verify, type KeyObject } from "node:crypto";
import { decodeBase64url } from "./base64url.ts";

// C2SP signed-note: name "+" first four bytes of the key hash "+" base64(algorithm ‖ key); 1 is Ed25519.
// 44 characters are exactly 33 bytes: no padding and no spare bits, so that each key has one spelling.
const VERIFIER_KEY = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/;
const NOTE_ED25519 = 0x01;

/** An Ed25519 public key that the configuration pins. */
export class PinnedKey {
  /** The name in the verifier key; undefined if only the bare key was given. */
  readonly name: string | undefined;
  readonly #key: KeyObject;

  /**
   * @param text a verifier key (`name+hash+key`) or the 32 bytes as base64url
   * @throws TypeError for anything else: a wrong pin is a mistake in the configuration
   */
  constructor(text: string) {
    const [, name, keyHash, encoded] = VERIFIER_KEY.exec(text) ?? [];
    this.name = name;
    const raw = encoded === undefined ? decodeBareKey(text) : decodeNoteKey(encoded);
    if (name !== undefined && keyHash !== noteKeyHash(name, raw))
      throw new TypeError(`Verifier key ${name}: its hash is wrong`);
    const jwk = { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") };
    this.#key = createPublicKey({ key: jwk, format: "jwk" });
  }

  hasSigned(message: Uint8Array, signature: Uint8Array): boolean {
    return verify(null, message, this.#key, signature);
  }
}

function noteKeyHash(name: string, raw: Buffer): string {
  const input = Buffer.concat([Buffer.from(`${name}\n`, "utf8"), Buffer.of(NOTE_ED25519), raw]);
  return hash("sha256", input, "hex").slice(0, 8);
}

function decodeNoteKey(encoded: string): Buffer {
  const bytes = Buffer.from(encoded, "base64");
  if (bytes[0] !== NOTE_ED25519) throw new TypeError("Verifier key: not an Ed25519 key");
  return bytes.subarray(1);
}

function decodeBareKey(text: string): Buffer {
  try {
    return decodeBase64url(text, { bytes: 32 });
  } catch (cause) {
    throw new TypeError("Pinned key: expected a verifier key or 32 bytes as base64url", { cause });
  }
}
