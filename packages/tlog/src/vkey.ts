import { createPublicKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { decodeBase64 } from "./base64.ts";
import { TlogError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import { isLine } from "./text.ts";

/** C2SP signed-note: the signature types that this package verifies. */
export const SIGNATURE_TYPE = { ed25519: 0x01, ecdsa: 0x02, cosignature: 0x04 } as const;
export type SignatureType = (typeof SIGNATURE_TYPE)[keyof typeof SIGNATURE_TYPE];

export interface VerifierKey {
  readonly name: string;
  /** 32 bits: with the name it says which key a signature line means. Not a fingerprint: collisions are easy to make. */
  readonly keyId: number;
  readonly type: SignatureType;
  readonly publicKey: KeyObject;
}

const MAX_VKEY_CHARS = 4096;
const ED25519_KEY_BYTES = 32;
/** RFC 8410 §4: what stands before the 32 bytes in the SubjectPublicKeyInfo of an Ed25519 key. */
const ED25519_SPKI_PREFIX = "302a300506032b6570032100";

/** C2SP signed-note: a key name is not empty and has no space and no plus sign. */
export function isKeyName(name: string): boolean {
  return isLine(name) && !/[\p{White_Space}+]/u.test(name);
}

/** The key with its id computed. Throws `ERR_TLOG_VKEY` if the name is malformed or the key is of another type. */
export function createVerifierKey(key: Omit<VerifierKey, "keyId">): VerifierKey {
  const { name, type, publicKey } = key;
  if (!isKeyName(name)) throw malformed("Key name is malformed");
  return { name, keyId: keyIdOf(name, type, keyBytes(type, publicKey)), type, publicKey };
}

/** `<name>+<key id in hex>+<base64 of type and key>` as C2SP signed-note has it. */
export function encodeVerifierKey(key: Omit<VerifierKey, "keyId">): string {
  const { name, keyId, type, publicKey } = createVerifierKey(key);
  const material = Buffer.concat([Buffer.of(type), keyBytes(type, publicKey)]);
  return `${name}+${hexId(keyId)}+${material.toString("base64")}`;
}

/** Reads what `encodeVerifierKey` writes. The text names a key to trust: it must come from configuration. */
export function parseVerifierKey(text: string): VerifierKey {
  if (text.length > MAX_VKEY_CHARS) throw malformed("Verifier key is too long");
  const [name = "", id = "", ...rest] = text.split("+");
  // Base64 may contain the separator too.
  const material = decodeBase64(rest.join("+")) ?? Buffer.alloc(0);
  const type = signatureType(material[0]);
  if (type === undefined) throw malformed("Verifier key is malformed or of an unknown type");
  const key = createVerifierKey({ name, type, publicKey: publicKeyOf(type, material.subarray(1)) });
  if (id !== hexId(key.keyId)) throw malformed("Key id does not fit the key");
  return key;
}

function signatureType(byte: number | undefined): SignatureType | undefined {
  return Object.values(SIGNATURE_TYPE).find((type) => type === byte);
}

function hexId(keyId: number): string {
  return keyId.toString(16).padStart(8, "0");
}

function keyIdOf(name: string, type: SignatureType, bytes: Buffer): number {
  // C2SP signed-note: the id of an ECDSA key is taken from its SPKI alone, without the name.
  if (type === SIGNATURE_TYPE.ecdsa) return sha256(bytes).readUInt32BE();
  return sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(type), bytes])).readUInt32BE();
}

/** The key as the formats write it: raw for Ed25519, SPKI for ECDSA. */
function keyBytes(type: SignatureType, key: KeyObject): Buffer {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  // C2SP signed-note: P-256 is the curve to use; supporting few algorithms is recommended.
  const fits =
    type === SIGNATURE_TYPE.ecdsa ? curve === "prime256v1" : key.asymmetricKeyType === "ed25519";
  if (key.type !== "public" || !fits) throw malformed("Key is not a public key of that type");
  const spki = key.export({ format: "der", type: "spki" });
  return type === SIGNATURE_TYPE.ecdsa ? spki : spki.subarray(-ED25519_KEY_BYTES);
}

function publicKeyOf(type: SignatureType, bytes: Buffer): KeyObject {
  const spki =
    type === SIGNATURE_TYPE.ecdsa
      ? bytes
      : Buffer.concat([Buffer.from(ED25519_SPKI_PREFIX, "hex"), bytes]);
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, format: "der", type: "spki" });
  } catch (cause) {
    throw new TlogError("ERR_TLOG_VKEY", "Public key is malformed", { cause });
  }
  // One key, one text: trailing bytes and other encodings of the same point are refused.
  if (!keyBytes(type, key).equals(bytes)) throw malformed("Public key is not in its one encoding");
  return key;
}

function malformed(problem: string): TlogError {
  return new TlogError("ERR_TLOG_VKEY", problem);
}
