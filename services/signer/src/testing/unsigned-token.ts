import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { publicJwk, signerFor } from "@redoubt/keys";
import { encodeKeyRecord } from "@redoubt/keys";
import type { Grant } from "../issue/policy.ts";
import { buildToken, JtiSource, type UnsignedToken } from "../issue/token.ts";
import { encodeHeader, type RingKey } from "../keys/key-ring.ts";

export type RecordChange = Readonly<Record<string, string | number | object>>;

/** A key with a record, as a ring holds it; its private half is in memory. */
export function ringKey(change: RecordChange = {}): RingKey {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { record } = encodeKeyRecord(
    JSON.parse(
      JSON.stringify({
        alg: "ES256",
        publicKey: publicJwk(publicKey),
        realm: "enterprise",
        issuer: "https://login.test/{tenantid}/v2.0",
        tenants: { bucket: 0, of: 1, except: [] },
        class: "at",
        audiences: "any",
        maxLifetimeSeconds: 3600,
        signFrom: 1_700_000_000,
        signUntil: 1_900_000_000,
        verifyUntil: 1_900_007_200,
        custody: "plain-file",
        issuanceFloor: "audit",
        log: "redoubt.test/enterprise/2026q4",
        ...change,
      }),
    ),
  );
  const sign = signerFor("ES256", privateKey, publicKey);
  const custody = { id: record.kid, alg: record.alg, publicJwk: publicJwk(publicKey), sign };
  const encodedHeader = encodeHeader(record.alg, record.kid, "at+jwt");
  return { kid: record.kid, record, custody, encodedHeader };
}

const KEY = ringKey();
const JTIS = new JtiSource();

export function grant(change: Partial<Grant> = {}): Grant {
  return {
    key: KEY,
    issuer: "https://login.test/x/v2.0",
    tenant: "11111111-2222-4333-8444-555555555555",
    client: "app-1",
    subject: "user-1",
    audience: "api://one",
    scope: undefined,
    ttlSeconds: 600,
    context: undefined,
    ...change,
  };
}

export function unsignedToken(tenant: string, nowSeconds: number): UnsignedToken {
  return buildToken(grant({ tenant }), "issuer", JTIS.next(), nowSeconds);
}

/** Whether a token's signature is by the key of `ringKey`. */
export function isSignedWith({ record }: RingKey, token: string): boolean {
  const end = token.lastIndexOf(".");
  const key = createPublicKey({ key: { ...record.publicKey }, format: "jwk" });
  const signature = Buffer.from(token.slice(end + 1), "base64url");
  const input = Buffer.from(token.slice(0, end));
  return verify("sha256", input, { key, dsaEncoding: "ieee-p1363" }, signature);
}
