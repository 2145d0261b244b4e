import { hash } from "node:crypto";
import { canonicalBytes, REALM } from "@redoubt/base";
import { bytes, list, message, text, type Values } from "@redoubt/wire";

/** docs/spec/key-record.md §1: a SHA-256 in base64url. */
const KID = /^[A-Za-z0-9_-]{43}$/;
/** Keys in one binding. */
export const MAX_KIDS = 256;

const BINDING = {
  realm: text(32, REALM),
  /** Name of the signer's instance, which the broker knows from its connection. */
  signer: text(64, /^[a-z][a-z0-9-]*$/),
  /** X25519 public key, raw: the lease is sealed to it. */
  encryptionKey: bytes({ bytes: 32 }),
  /** Ed25519 public key, raw: its holder may use the lease. */
  holderKey: bytes({ bytes: 32 }),
  /** Keys that this signer holds and that verifiers may know, by kid, in ascending order. */
  kids: list(text(43, KID), MAX_KIDS),
};

/** What a machine vouches for when it shows evidence: who asks, and the keys that were made for this one lease. */
export type Binding = Values<typeof BINDING>;

/** docs/spec/leases.md §2. */
export const bindingMessage = message("binding", BINDING);

/** A nonce of the broker. */
export const NONCE_BYTES = 32;

const LABEL = Buffer.from("attest-v1\0");

/**
 * The 32 bytes that evidence must be over: the beginning of the report data, a TPM's qualifying data, an enclave's nonce.
 * Evidence for another nonce, realm, signer or key has others (THREAT-14).
 */
export function boundData(nonce: Uint8Array, binding: Binding): Buffer {
  if (nonce.length !== NONCE_BYTES)
    throw new RangeError(`Nonce: ${nonce.length} bytes, expected ${NONCE_BYTES}`);
  const digest = hash("sha256", canonicalBytes(bindingMessage.write(binding)), "buffer");
  return hash("sha256", Buffer.concat([LABEL, nonce, digest]), "buffer");
}
