import { randomFillSync } from "node:crypto";
import { sha256 } from "@redoubt/tlog";
import type { RingKey } from "../keys/key-ring.ts";
import type { Grant } from "./policy.ts";

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
const JTIS_AT_ONCE = 128;

/** Token ids of 128 random bits, drawn many at once: one call for each costs a tenth of a signature. */
export class JtiSource {
  readonly #pool = Buffer.alloc(JTI_BYTES * JTIS_AT_ONCE);
  #at = this.#pool.length;

  next(): string {
    if (this.#at === this.#pool.length) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    const start = this.#at;
    this.#at += JTI_BYTES;
    return this.#pool.toString("base64url", start, this.#at);
  }
}

/** RFC 9068 access token. The signer sets every reserved claim; the clock is the signer's. */
export function buildToken(
  grant: Grant,
  caller: string,
  jti: string,
  nowSeconds: number,
): UnsignedToken {
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
  const digest = sha256(signingInput);
  return { key, grant, caller, signingInput, digest, jti, iat: nowSeconds, exp };
}
