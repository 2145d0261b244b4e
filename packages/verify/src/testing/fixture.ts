import { canonicalJson } from "../canonical.ts";
import { encodeBase64url } from "../base64url.ts";
import { parseJsonObject } from "../json.ts";
import { parseKeyRecord, type KeyRecord } from "../record.ts";
import { fromStaticKeys, type StaticKey } from "../static-trust.ts";
import { createVerifier, type Verifier } from "../verifier.ts";
import type { VerifierOptions } from "../verifier-options.ts";
import { signWith, testKey, type TestKey } from "./keys.ts";
import type { TokenErrorCode } from "../token-error.ts";

/** Seconds; every test's clock unless it says otherwise. */
export const NOW = 1_800_000_000;
export const DAY = 86_400;
export const AUDIENCE = "api://orders";
export const ENTERPRISE_ISSUER = "https://enterprise.id.example/{tenantid}/v2.0";
export const CONSUMER_ISSUER = "https://consumer.id.example/{tenantid}/v2.0";
export const TENANT_A = "0a4f1c52-6f0e-4d7b-9c51-3f1f2b7d8a01";
export const TENANT_B = "b7e2d9c4-11aa-4e0f-8d3c-5a6b7c8d9e02";
export const CONSUMER_TENANT = "9f3b6a10-2c4d-4e5f-8a7b-1c2d3e4f5a03";

/** One line of the corpus: a token, when it is looked at, and what must be said. */
export interface CorpusCase {
  readonly name: string;
  readonly token: string;
  readonly now?: number;
  /** Absent: the token is good. */
  readonly code?: TokenErrorCode;
  readonly part?: string;
}

export type Claims = Readonly<Record<string, unknown>>;

/** The scope of an enterprise key that signs now; each test changes one member. */
export function staticKey(name: string, changes: Partial<StaticKey> = {}): StaticKey {
  const { alg, publicJwk } = testKey(name);
  return {
    jwk: { ...publicJwk, kid: name, alg },
    issuer: ENTERPRISE_ISSUER,
    realm: "enterprise",
    tenants: { bucket: 0, of: 1, except: [CONSUMER_TENANT] },
    class: "at",
    audiences: [AUDIENCE, "api://mail"],
    maxLifetimeSeconds: 3600,
    signFrom: NOW - DAY,
    signUntil: NOW + 30 * DAY,
    verifyUntil: NOW + 31 * DAY,
    ...changes,
  };
}

export function consumerKey(changes: Partial<StaticKey> = {}): StaticKey {
  return staticKey("con-es256", {
    issuer: CONSUMER_ISSUER,
    realm: "consumer",
    tenants: { ids: [CONSUMER_TENANT] },
    ...changes,
  });
}

/** Claims of a good token of tenant A. */
export function claims(changes: Claims = {}): Claims {
  return {
    iss: ENTERPRISE_ISSUER.replace("{tenantid}", TENANT_A),
    sub: "user-1",
    aud: AUDIENCE,
    exp: NOW + 3595,
    nbf: NOW - 5,
    iat: NOW - 5,
    jti: "Zt0QhU5rXGvJb1nRk3mYwA",
    tid: TENANT_A,
    ver: "2.0",
    client_id: "client-1",
    ...changes,
  };
}

export interface Forgery {
  readonly key?: string;
  /** Members to add or replace; `undefined` removes. A string is the header's JSON itself. */
  readonly header?: Claims | string;
  /** As for the header; a Buffer is the payload's bytes. */
  readonly payload?: Claims | string | Uint8Array;
  /** Makes the signature instead of the key. */
  readonly sign?: (signingInput: string, key: TestKey) => Uint8Array;
}

/** Makes a token, good unless told otherwise. */
export function mint(forgery: Forgery = {}): string {
  const key = testKey(forgery.key ?? "ent-es256");
  const { header = {}, payload = {} } = forgery;
  const headerText =
    typeof header === "string"
      ? header
      : JSON.stringify({ alg: key.alg, kid: key.name, typ: "at+jwt", ...header });
  const payloadBytes =
    typeof payload === "string" || payload instanceof Uint8Array
      ? Buffer.from(payload)
      : Buffer.from(JSON.stringify(claims(payload)));
  const signingInput = `${encodeBase64url(Buffer.from(headerText))}.${encodeBase64url(payloadBytes)}`;
  const signature = forgery.sign?.(signingInput, key) ?? signWith(key, signingInput);
  return `${signingInput}.${encodeBase64url(signature)}`;
}

export const ENTERPRISE_RULE = {
  issuer: ENTERPRISE_ISSUER,
  realm: "enterprise",
  tenants: "any",
} as const;

/** A verifier for enterprise tokens at `NOW` that knows the given keys. */
export function verifierWith(
  keys: readonly StaticKey[],
  changes: Partial<VerifierOptions> = {},
): Promise<Verifier> {
  return createVerifier({
    trust: changes.trust ?? fromStaticKeys({ keys }),
    audience: AUDIENCE,
    accept: [ENTERPRISE_RULE],
    issuance: "off",
    now: () => NOW * 1000,
    ...changes,
  });
}

/** Members of a good key record; each test changes one. */
export function recordFields(name: string, changes: Claims = {}): Claims {
  const { alg, publicJwk } = testKey(name);
  return {
    v: 1,
    alg,
    publicKey: publicJwk,
    realm: "enterprise",
    issuer: ENTERPRISE_ISSUER,
    tenants: { bucket: 0, of: 1, except: [CONSUMER_TENANT] },
    class: "at",
    audiences: [AUDIENCE],
    maxLifetimeSeconds: 3600,
    signFrom: NOW - DAY,
    signUntil: NOW + 30 * DAY,
    verifyUntil: NOW + 31 * DAY,
    custody: "sealed-file",
    issuanceFloor: "audit",
    log: "example.org/issuance/enterprise-1",
    ...changes,
  };
}

export interface SignedTestRecord {
  readonly bytes: Buffer;
  readonly ring: Buffer;
  readonly record: KeyRecord;
  /** The key as a JWKS lists it. */
  readonly jwk: Claims;
}

/** A record signed by a ring key, in the forms in which it travels. */
export function signedRecord(
  name: string,
  changes: Claims = {},
  ringName = "ring-enterprise",
): SignedTestRecord {
  const bytes = recordBytes(recordFields(name, changes));
  const record = parseKeyRecord(bytes);
  const message = Buffer.concat([Buffer.from("redoubt/key-record/v1\n"), bytes]);
  const ring = signWith(testKey(ringName), message);
  const redoubt = { record: encodeBase64url(bytes), ring: encodeBase64url(ring) };
  const { kid, alg, issuer } = record;
  return {
    bytes,
    ring,
    record,
    jwk: { ...record.publicKey, kid, alg, use: "sig", issuer, redoubt },
  };
}

export function recordBytes(fields: Claims): Buffer {
  return Buffer.from(canonicalJson(parseJsonObject(JSON.stringify(fields))));
}
