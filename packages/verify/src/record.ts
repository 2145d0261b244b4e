import { hash } from "node:crypto";
import { canonicalJson } from "./canonical.ts";
import { JsonError, parseJsonObject, type JsonObject } from "./json.ts";
import {
  importPublicJwk,
  KEY_ALGORITHMS,
  parsePublicJwk,
  type KeyAlgorithm,
  type PublicJwk,
} from "./public-key.ts";
import { ScopeReader } from "./scope-reader.ts";
import type { TenantSelector } from "./tenant.ts";
import { TrustError } from "./trust-error.ts";

export { issuerFor } from "./issuer-template.ts";
export { tenantCovered, type TenantId, type TenantSelector } from "./tenant.ts";

declare const keyIdBrand: unique symbol;

/** `base64url(SHA-256(record bytes))`: a key's scope is part of its name. */
export type KeyId = string & { readonly [keyIdBrand]: true };

export const TOKEN_CLASSES = ["at", "oidc"] as const;
export type TokenClass = (typeof TOKEN_CLASSES)[number];

const CUSTODY_KINDS = ["plain-file", "sealed-file", "drill", "pkcs11", "kms", "node-key"] as const;
const ISSUANCE_FLOORS = ["audit", "stapled"] as const;

/** What a key may sign, fixed when it was made (P1). docs/spec/key-record.md §1. */
export interface KeyRecord {
  readonly kid: KeyId;
  readonly v: 1;
  readonly alg: KeyAlgorithm;
  readonly publicKey: PublicJwk;
  readonly realm: string;
  /** Issuer URL, may hold `{tenantid}` once. */
  readonly issuer: string;
  readonly tenants: TenantSelector;
  readonly class: TokenClass;
  readonly audiences: "any" | readonly string[];
  readonly maxLifetimeSeconds: number;
  /** Seconds; `iat` must lie in `[signFrom, signUntil]`. */
  readonly signFrom: number;
  readonly signUntil: number;
  /** Seconds; nothing verifies at or after it. */
  readonly verifyUntil: number;
  readonly custody: (typeof CUSTODY_KINDS)[number];
  readonly issuanceFloor: (typeof ISSUANCE_FLOORS)[number];
  readonly log: string;
}

const MAX_RECORD_BYTES = 262_144;

/**
 * Reads the exact bytes of a key record. A missing, unknown or duplicate member, a value out of range and a form
 * that is not canonical are refused: never "any". Says nothing about who made the record; see `verifyKeyRecord`.
 *
 * @throws TrustError `ERR_RECORD_FORM`, `ERR_RECORD_MEMBER`, `ERR_KEY_INVALID`
 */
export function parseKeyRecord(bytes: Uint8Array): KeyRecord {
  const read = new ScopeReader(parseRecordObject(bytes), recordRefusal);
  read.oneOf("v", [1]);
  const alg = read.oneOf("alg", KEY_ALGORITHMS);
  const record: KeyRecord = {
    kid: keyIdOf(bytes),
    v: 1,
    alg,
    publicKey: readPublicKey(read, alg),
    realm: read.realm(),
    issuer: read.issuer(),
    tenants: read.tenants(),
    class: read.oneOf("class", TOKEN_CLASSES),
    audiences: read.audiences(),
    maxLifetimeSeconds: read.integer("maxLifetimeSeconds", 1, 86_400),
    ...read.window(),
    custody: read.oneOf("custody", CUSTODY_KINDS),
    issuanceFloor: read.oneOf("issuanceFloor", ISSUANCE_FLOORS),
    log: read.string("log", 512),
  };
  read.done();
  return record;
}

function parseRecordObject(bytes: Uint8Array): JsonObject {
  let object: JsonObject;
  try {
    object = parseJsonObject(bytes, { maxBytes: MAX_RECORD_BYTES, maxDepth: 3 });
  } catch (error) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(error instanceof JsonError)) throw error;
    throw new TrustError("ERR_RECORD_FORM", `Key record: ${error.message}`, { cause: error });
  }
  // One scope has one kid: another spelling of the same record would be the same key under another name.
  if (!Buffer.from(canonicalJson(object), "utf8").equals(bytes))
    throw new TrustError("ERR_RECORD_FORM", "Key record: not canonical JSON");
  return object;
}

function readPublicKey(read: ScopeReader, alg: KeyAlgorithm): PublicJwk {
  const jwk = read.object("publicKey");
  const publicKey = parsePublicJwk(jwk, alg);
  if (Object.keys(jwk).length !== Object.keys(publicKey).length)
    throw recordRefusal("publicKey", "public members only");
  // Also proves that the point is on its curve.
  importPublicJwk(publicKey, alg);
  return publicKey;
}

function recordRefusal(member: string, expected: string): TrustError {
  return new TrustError("ERR_RECORD_MEMBER", `Key record ${member}: expected ${expected}`, {
    member,
  });
}

function keyIdOf(bytes: Uint8Array): KeyId {
  const kid = hash("sha256", bytes, "base64url");
  // mutate: every SHA-256 has that form; the compiler does not know it.
  if (!isKeyId(kid)) throw new RangeError("SHA-256 gave no key id");
  return kid;
}

/** Tells whether a text has the form of a `kid` of ours. */
export function isKeyId(value: unknown): value is KeyId {
  return typeof value === "string" && /^[\w-]{43}$/.test(value);
}
