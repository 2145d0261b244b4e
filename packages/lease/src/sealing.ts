import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { ServiceError } from "@redoubt/base";
import { publicKeyOf, rawPublicKey } from "./raw-key.ts";

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const LABEL = Buffer.from("redoubt/lease-seal/v1\n");
/** Each key seals once. */
const IV = Buffer.alloc(12);

/**
 * Seals what only the holder of a private key can open: X25519 with a key made for this one message, HKDF-SHA-256,
 * AES-256-GCM (docs/spec/leases.md §4). `secret`, where there is one, is something that only the machine's TPM gives out
 * (TPM2_ActivateCredential): then the private key alone opens nothing.
 *
 * @param recipient raw X25519 public key
 * @returns the sender's raw public key, ciphertext, tag
 * @throws ServiceError `ERR_LEASE_SEALED` for a public key of small order
 */
export function seal(recipient: Buffer, secret: Uint8Array | undefined, plain: Uint8Array): Buffer {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const sender = rawPublicKey(publicKey, "X25519");
  const key = deriveKey(privateKey, recipient, { sender, recipient, secret });
  const cipher = createCipheriv("aes-256-gcm", key, IV);
  return Buffer.concat([sender, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** @throws ServiceError `ERR_LEASE_SEALED` for anything that was not sealed to this key and secret */
export function openSealed(
  privateKey: KeyObject,
  secret: Uint8Array | undefined,
  sealed: Buffer,
): Buffer {
  const sender = sealed.subarray(0, KEY_BYTES);
  const recipient = rawPublicKey(createPublicKey(privateKey), "X25519");
  const key = deriveKey(privateKey, sender, { sender, recipient, secret });
  const decipher = createDecipheriv("aes-256-gcm", key, IV);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([
      decipher.update(sealed.subarray(KEY_BYTES, -TAG_BYTES)),
      decipher.final(),
    ]);
  } catch (cause) {
    throw notOurs(cause);
  }
}

interface Parties {
  readonly sender: Buffer;
  readonly recipient: Buffer;
  readonly secret: Uint8Array | undefined;
}

function deriveKey(
  privateKey: KeyObject,
  other: Buffer,
  { sender, recipient, secret = Buffer.alloc(0) }: Parties,
): Buffer {
  const info = Buffer.concat([LABEL, sender, recipient]);
  const input = Buffer.concat([agree(privateKey, other), secret]);
  return Buffer.from(hkdfSync("sha256", input, "", info, 32));
}

function agree(privateKey: KeyObject, other: Buffer): Buffer {
  try {
    return diffieHellman({ privateKey, publicKey: publicKeyOf(other, "X25519") });
  } catch (cause) {
    throw notOurs(cause);
  }
}

function notOurs(cause?: unknown): ServiceError {
  return new ServiceError("ERR_LEASE_SEALED", "Lease is not sealed to this key", { cause });
}
