import { createPublicKey, hash, verify } from "node:crypto";
import type { KeyAlgorithm, PublicJwk } from "@redoubt/verify";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { isP256Signature } from "./p256.ts";
import { isPs256Signature, isRs256Signature } from "./rsa.ts";

/** What a reporter shows for a token: never the token itself, but for Ed25519 (docs/spec/reports.md §2). */
export interface Evidence {
  readonly digest: Buffer;
  readonly signature: Buffer;
  readonly signingInput?: string;
}

/** A public key that has been validated (on its curve, of a sane size), and the one algorithm it is for. */
export interface EvidenceKey {
  readonly alg: KeyAlgorithm;
  readonly jwk: PublicJwk;
}

/** Whether this key signed the signing input with this SHA-256. The reporter chooses everything but the key. */
export async function isEvidenceSigned(key: EvidenceKey, evidence: Evidence): Promise<boolean> {
  const { digest, signature } = evidence;
  switch (key.alg) {
    case "ES256":
      return key.jwk.kty === "EC" && isP256Signed(coordinates(key.jwk), digest, signature);
    case "RS256":
      return isRs256Signature(publicKeyOf(key), digest, signature);
    case "PS256":
      return isPs256Signature(publicKeyOf(key), digest, signature);
    case "Ed25519":
      return isEd25519Signed(key, evidence);
  }
}

/** Loaded when it is needed: most monitors never see a forgery, and its arithmetic takes 10 MB. */
async function isP256Signed(...evidence: Parameters<typeof isP256Signature>): Promise<boolean> {
  const p256 = await import("./p256.ts");
  return p256.isP256Signature(...evidence);
}

/** RFC 8032 §5.1.7: Ed25519 hashes the message twice by itself, so that a digest is not enough. */
function isEd25519Signed(key: EvidenceKey, { digest, signature, signingInput }: Evidence): boolean {
  if (signingInput === undefined) return false;
  const message = Buffer.from(signingInput, "utf8");
  if (!hash("sha256", message, "buffer").equals(digest)) return false;
  return verify(null, message, publicKeyOf(key), signature);
}

function publicKeyOf({ jwk }: EvidenceKey): ReturnType<typeof createPublicKey> {
  return createPublicKey({ key: { ...jwk }, format: "jwk" });
}

function coordinates({ x, y }: { readonly x: string; readonly y: string }): {
  readonly x: Buffer;
  readonly y: Buffer;
} {
  return { x: decodeBase64url(x, { bytes: 32 }), y: decodeBase64url(y, { bytes: 32 }) };
}
