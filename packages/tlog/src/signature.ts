import { verify } from "node:crypto";
import { TlogError } from "./errors.ts";
import { cosignatureMessage, parseTimestamped } from "./timestamped-signature.ts";
import { SIGNATURE_TYPE } from "./vkey.ts";
import type { SignatureType, VerifierKey } from "./vkey.ts";

/** A known key whose signature is good. */
export type VerifiedSignature = {
  readonly name: string;
  readonly keyId: number;
} & (
  | { readonly type: Exclude<SignatureType, 0x04>; readonly timeSeconds?: never }
  /** `timeSeconds`: when the cosigner signed, by its own clock, in POSIX seconds. */
  | { readonly type: 0x04; readonly timeSeconds: number }
);

/** Verifies the signature of one key over the body of a note. Throws `ERR_TLOG_NOTE_SIGNATURE`. */
export function verifySignature(
  key: VerifierKey,
  body: string,
  signature: Buffer,
): VerifiedSignature {
  const { name, keyId, type, publicKey } = key;
  if (type === SIGNATURE_TYPE.cosignature) {
    const timeSeconds = verifyTimestamped(key, body, signature);
    return { name, keyId, type, timeSeconds };
  }
  // github.com/transparency-dev: ECDSA signatures are DER over SHA-256. Ed25519 hashes by itself.
  const digest = type === SIGNATURE_TYPE.ecdsa ? "sha256" : null;
  if (!verify(digest, Buffer.from(body), publicKey, signature)) throw wrong(name);
  return { name, keyId, type };
}

function verifyTimestamped(key: VerifierKey, body: string, bytes: Buffer): number {
  const parsed = parseTimestamped(bytes);
  if (parsed === undefined) throw wrong(key.name);
  const message = cosignatureMessage(body, parsed.timeSeconds);
  if (!verify(null, message, key.publicKey, parsed.signature)) throw wrong(key.name);
  return parsed.timeSeconds;
}

function wrong(name: string): TlogError {
  return new TlogError("ERR_TLOG_NOTE_SIGNATURE", `Signature of ${name} does not verify`);
}
