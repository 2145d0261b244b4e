import { hash, randomBytes } from "node:crypto";
import { canonicalBytes } from "@redoubt/base";
import type { Grant } from "./policy.ts";
import type { RingKey } from "./key-ring.ts";

/** A token before its signature: what the log commits to. */
export interface UnsignedToken {
  readonly key: RingKey;
  readonly grant: Grant;
  readonly caller: string;
  readonly signingInput: string;
  /** SHA-256 of the signing input. */
  readonly digest: Buffer;
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
}

const JTI_BYTES = 16;

/** RFC 9068 access token. The signer sets every reserved claim; the clock is the signer's. */
export function buildToken(grant: Grant, caller: string, nowSeconds: number): UnsignedToken {
  const jti = randomBytes(JTI_BYTES).toString("base64url");
  const { key, ttlSeconds, scope } = grant;
  // A token never outlives the time in which its key verifies.
  const exp = Math.min(nowSeconds + ttlSeconds, key.record.verifyUntil);
  const payload = JSON.stringify({
    iss: grant.issuer,
    sub: grant.subject,
    aud: grant.audience,
    exp,
    nbf: nowSeconds,
    iat: nowSeconds,
    jti,
    tid: grant.tenant,
    ver: "2.0",
    client_id: grant.client,
    // Left out where there is none: JSON.stringify drops undefined members.
    scope,
  });
  const signingInput = `${key.encodedHeader}.${Buffer.from(payload, "utf8").toString("base64url")}`;
  const digest = hash("sha256", signingInput, "buffer");
  return { key, grant, caller, signingInput, digest, jti, iat: nowSeconds, exp };
}

/** The protected header is the same for every token of a key. */
export function encodeHeader(alg: string, kid: string): string {
  return canonicalBytes({ alg, kid, typ: "at+jwt" }).toString("base64url");
}
