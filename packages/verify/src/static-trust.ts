import { Base64urlError, decodeBase64url } from "./base64url.ts";
import { JsonError, parseJsonObject } from "./json.ts";
import { PinnedKey } from "./pinned-key.ts";
import {
  importPublicJwk,
  isForSignatures,
  isKeyAlgorithm,
  parsePublicJwk,
  refusePrivateMembers,
} from "./public-key.ts";
import { parseKeyRecord, TOKEN_CLASSES, type TokenClass } from "./record.ts";
import { verifyKeyRecord } from "./ring.ts";
import { ScopeReader } from "./scope-reader.ts";
import { TrustError } from "./trust-error.ts";
import type { TrustReader, TrustSource, TrustSourceStatus } from "./trust-source.ts";
import { buildKeySet, TrustedKey, type KeyScope } from "./trusted-key.ts";

/** One key with its whole scope; there is no default for any member. Times in seconds since the epoch. */
export interface StaticKey {
  /** Public JWK with `kid` and `alg`. */
  readonly jwk: Readonly<Record<string, unknown>>;
  readonly issuer: string;
  readonly realm: string;
  readonly tenants:
    | "any"
    | { readonly ids: readonly string[] }
    | { readonly bucket: number; readonly of: number; readonly except: readonly string[] };
  readonly class: TokenClass;
  readonly audiences: "any" | readonly string[];
  readonly maxLifetimeSeconds: number;
  readonly signFrom: number;
  readonly signUntil: number;
  readonly verifyUntil: number;
}

/** A key record and the signature of its realm's ring key, as bytes or base64url. */
export interface SignedRecord {
  readonly record: Uint8Array | string;
  readonly ring: Uint8Array | string;
}

const FOR_EVER = { freshUntil: Number.POSITIVE_INFINITY };

/**
 * Trusts the given keys, each for exactly the given scope.
 *
 * @throws TypeError for a missing, unknown or malformed member, or one kid or public key with two meanings
 * @example
 * fromStaticKeys({ keys: [{ jwk, issuer: "https://id.example/{tenantid}", realm: "enterprise", tenants: "any",
 *   class: "at", audiences: ["api://orders"], maxLifetimeSeconds: 3600,
 *   signFrom: 1767225600, signUntil: 1769904000, verifyUntil: 1769907600 }] });
 */
export function fromStaticKeys(options: { readonly keys: readonly StaticKey[] }): TrustSource {
  const keys = options.keys.map((key, i) => new TrustedKey(parseStaticKey(key, i), [FOR_EVER]));
  return staticSource("static-keys", false, keys);
}

/**
 * Trusts records signed by the ring key of their realm; `rings` names that key for each realm, as a verifier key
 * (`name+hash+key`) or as 32 bytes in base64url; or several, while another takes its place.
 *
 * @throws TypeError for a record without that signature, malformed, or of a realm without a ring key
 */
export function fromStaticRecords(
  records: readonly SignedRecord[],
  options: { readonly rings: Readonly<Record<string, string | readonly string[]>> },
): TrustSource {
  const rings = new Map(
    Object.entries(options.rings).map(([realm, ring]) => {
      const texts = typeof ring === "string" ? [ring] : ring;
      return [realm, texts.map((text) => new PinnedKey(text))];
    }),
  );
  const keys = records.map((signed, i) =>
    misuse(`records[${i}]`, () => readSignedRecord(signed, rings)),
  );
  return staticSource("static-records", true, keys);
}

/**
 * Reads the scope of one key.
 *
 * @throws TypeError
 */
export function parseStaticKey(key: StaticKey, index = 0): KeyScope {
  const where = `keys[${index}]`;
  return misuse(where, () => {
    const read = new ScopeReader(
      parseJsonObject(JSON.stringify(key)),
      (member, expected) => new TypeError(`${where}.${member}: expected ${expected}`),
    );
    const jwk = read.object("jwk");
    const { kid, alg } = jwk;
    if (typeof kid !== "string" || kid === "") throw new TypeError(`${where}.jwk.kid: missing`);
    if (!isKeyAlgorithm(alg)) throw new TypeError(`${where}.jwk.alg: missing or unsupported`);
    refusePrivateMembers(jwk);
    if (!isForSignatures(jwk)) throw new TypeError(`${where}.jwk: not for verifying signatures`);
    const scope = readScope(read, { kid, alg, publicKey: parsePublicJwk(jwk, alg) });
    // A point that is on no curve is found here, not at the first token.
    importPublicJwk(scope.publicKey, alg);
    return scope;
  });
}

function readScope(read: ScopeReader, key: Pick<KeyScope, "kid" | "alg" | "publicKey">): KeyScope {
  const scope: KeyScope = {
    ...key,
    realm: read.realm(),
    issuer: read.issuer(),
    tenants: read.tenantsOrAny(),
    class: read.oneOf("class", TOKEN_CLASSES),
    audiences: read.audiences(),
    maxLifetimeSeconds: read.integer("maxLifetimeSeconds", 1, 86_400),
    ...read.window(),
    issuanceFloor: "none",
  };
  read.done();
  return scope;
}

function readSignedRecord(
  signed: SignedRecord,
  rings: ReadonlyMap<string, readonly PinnedKey[]>,
): TrustedKey {
  const bytes = toBytes(signed.record);
  const { realm } = parseKeyRecord(bytes);
  const ring = rings.get(realm);
  if (ring === undefined)
    throw new TrustError("ERR_KEY_UNTRUSTED", `Key record: no ring key given for realm ${realm}`);
  return new TrustedKey(verifyKeyRecord(bytes, toBytes(signed.ring), ring), [FOR_EVER]);
}

function toBytes(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? decodeBase64url(value) : value;
}

/** A mistake in the configuration is a TypeError, whichever reader found it. */
function misuse<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (
      cause instanceof TrustError ||
      cause instanceof JsonError ||
      cause instanceof Base64urlError
    )
      throw new TypeError(`${what}: ${cause.message}`, { cause });
    throw cause;
  }
}

function staticSource(
  kind: "static-keys" | "static-records",
  ringPinned: boolean,
  list: readonly TrustedKey[],
): TrustSource {
  const keys = misuse("keys", () => buildKeySet(list));
  if (keys.size === 0) throw new TypeError("Static trust: no key given");
  const status: TrustSourceStatus = {
    kind,
    ringPinned,
    loadedAt: null,
    staleAt: null,
    untrustedKeys: 0,
    ignoredKeys: 0,
    failures: 0,
    lastError: null,
    lastErrorText: null,
    refusals: [],
    attestation: null,
  };
  const reader: TrustReader = {
    keys,
    sources: () => [status],
    isReady: () => true,
    reload: () => Promise.resolve(),
    close: () => undefined,
  };
  return { open: () => Promise.resolve(reader) };
}
