import { hash } from "node:crypto";
import {
  canonicalBytes,
  ConfigReader,
  configError,
  MemberReader,
  ServiceError,
  REALM,
} from "@redoubt/base";
import { parseVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import {
  isJsonObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";
import { KeyError } from "@redoubt/keys";
import { encodeRootPublicKey, parseRootPublicKey } from "./root-public-key.ts";

/** ARCHITECTURE §9: a demo root is one that nobody kept offline. */
export const ROOT_KINDS = ["demo", "production"] as const;
export type RootKind = (typeof ROOT_KINDS)[number];

export interface RootKey {
  /** Who holds it. Only a label: a key is identified by its public key. */
  readonly name: string;
  readonly alg: "Ed25519";
  /** The 32 bytes of RFC 8032 §5.1.5 in base64url. */
  readonly publicKey: string;
}

export interface RootRealm {
  readonly realm: string;
  /** Verifier key of the realm's ring. */
  readonly ring: string;
}

/** docs/spec/trust-data.md §1: which keys are the root, which ring key speaks for each realm, and who operates. */
export interface RootDocument {
  readonly kind: RootKind;
  readonly version: number;
  /** How many of `keys` must have signed. */
  readonly threshold: number;
  /** Sorted by name. */
  readonly keys: readonly RootKey[];
  /** POSIX seconds. */
  readonly made: number;
  /** POSIX seconds; from then on the document counts for nothing. */
  readonly expires: number;
  /** Sorted by realm. */
  readonly realms: readonly RootRealm[];
  /** Verifier key of the operator from here on; absent: as before. */
  readonly operator?: string;
}

/** A document with the exact bytes that were signed and their SHA-256 (base64url), by which it is pinned. */
export interface Root {
  readonly document: RootDocument;
  readonly bytes: Buffer;
  readonly hash: string;
}

export const MAX_ROOT_KEYS = 16;
export const MAX_ROOT_VERSION = 2 ** 31 - 1;
/** How long a root lives at most, three years: after this time nobody follows holders who no longer use their keys. */
export const MAX_ROOT_SECONDS = 1096 * 86_400;
export const ROOT_KEY_NAME = /^[a-z][a-z0-9._-]{0,31}$/;
const MAX_ROOT_REALMS = 32;
const MAX_DOCUMENT_BYTES = 24 * 1024;
const MAX_SECONDS = 2 ** 40;
const MAX_VKEY_CHARS = 512;

/**
 * Encodes a document and reads it back as verifiers do; lists are put into their order.
 *
 * @throws KeyError as `parseRoot`
 */
export function encodeRoot(document: RootDocument): Root {
  const keys = document.keys.toSorted((a, b) => order(a.name, b.name)).map((key) => ({ ...key }));
  const realms = document.realms.toSorted((a, b) => order(a.realm, b.realm));
  const members = { ...document, v: 1, keys, realms: realms.map((realm) => ({ ...realm })) };
  return parseRoot(canonicalBytes(members));
}

/**
 * Reads the bytes of a root document; says nothing about who signed it.
 *
 * @throws KeyError `ERR_ROOT_FORM`, `ERR_ROOT_MEMBER` with every problem named
 */
export function parseRoot(bytes: Uint8Array): Root {
  return readRoot(parseRootForm(bytes, MAX_DOCUMENT_BYTES));
}

/** As `parseRoot`, for a document that a parser of ours read from canonical bytes. */
export function readRoot(members: JsonObject): Root {
  const bytes = canonicalBytes(members);
  if (bytes.length > MAX_DOCUMENT_BYTES)
    throw new KeyError("ERR_ROOT_FORM", `Root is larger than ${MAX_DOCUMENT_BYTES} bytes`);
  return { document: readDocument(members), bytes, hash: hash("sha256", bytes, "base64url") };
}

/** One document has one encoding, and so one hash. */
export function parseRootForm(bytes: Uint8Array, maxBytes: number): JsonObject {
  let object: JsonObject;
  try {
    object = parseJsonObject(bytes, { maxBytes, maxDepth: 5 });
  } catch (cause) {
    throw new KeyError("ERR_ROOT_FORM", "Root is not a strict JSON object", { cause });
  }
  if (!canonicalOrNothing(object)?.equals(bytes))
    throw new KeyError("ERR_ROOT_FORM", "Root is not canonical JSON");
  return object;
}

function canonicalOrNothing(object: JsonObject): Buffer | undefined {
  try {
    return canonicalBytes(object);
  } catch {
    // A number that is no safe integer has no canonical form.
    return undefined;
  }
}

function readDocument(members: JsonObject): RootDocument {
  const reader = new ConfigReader(members, "root");
  try {
    const kind = reader.attempt((from) => from.oneOf("kind", ROOT_KINDS));
    const keys = reader.attempt(readKeys);
    const threshold = reader.attempt((from) => from.integer("threshold", 1, MAX_ROOT_KEYS));
    const made = reader.attempt((from) => from.integer("made", 0, MAX_SECONDS));
    const expires = reader.attempt((from) => from.integer("expires", 0, MAX_SECONDS));
    const realms = reader.attempt(readRealms);
    const operator = reader.attempt(readOperator);
    reader.attempt(() => checkThreshold(kind, threshold, keys?.length));
    reader.attempt(() => checkLife(made, expires));
    reader.attempt(() => checkApart(keys ?? [], realms ?? [], operator));
    const version = reader.attempt((from) => from.integer("version", 1, MAX_ROOT_VERSION));
    const required = { kind, version, threshold, keys, made, expires, realms };
    const document = reader.finish<RootDocument>(required);
    return operator === undefined ? document : { ...document, operator };
  } catch (cause) {
    if (!(cause instanceof ServiceError)) throw cause;
    throw new KeyError("ERR_ROOT_MEMBER", cause.message, { cause });
  }
}

function readKeys(from: MemberReader): readonly RootKey[] {
  const keys = from.array("keys", MAX_ROOT_KEYS).map((value, index) => {
    const key = readerOf(value, `root key ${index + 1}`);
    const name = key.string("name", 32, ROOT_KEY_NAME);
    const alg = key.oneOf("alg", ["Ed25519"]);
    const publicKey = readPublicKey(key, name);
    key.done();
    return { name, alg, publicKey };
  });
  if (keys.length === 0) throw configError("root: keys must not be empty");
  checkOrder(
    keys.map(({ name }) => name),
    "keys",
  );
  // k of n is a promise about n separate keys.
  if (new Set(keys.map(({ publicKey }) => publicKey)).size !== keys.length)
    throw configError("root: one public key stands for two");
  return keys;
}

function readPublicKey(key: MemberReader, name: string): string {
  const publicKey = key.string("publicKey", 64);
  try {
    parseRootPublicKey(publicKey);
    return publicKey;
  } catch (cause) {
    throw configError(`root key ${name}: publicKey must be an Ed25519 key`, { cause });
  }
}

function readRealms(from: MemberReader): readonly RootRealm[] {
  const realms = from.array("realms", MAX_ROOT_REALMS).map((value, index) => {
    const item = readerOf(value, `root realm ${index + 1}`);
    const realm = item.string("realm", 32, REALM);
    const ring = item.string("ring", MAX_VKEY_CHARS);
    delegatedKey(`ring of ${realm}`, ring);
    item.done();
    return { realm, ring };
  });
  if (realms.length === 0) throw configError("root: realms must not be empty");
  checkOrder(
    realms.map(({ realm }) => realm),
    "realms",
  );
  return realms;
}

function readOperator(from: MemberReader): string | undefined {
  const operator = from.optionalString("operator", MAX_VKEY_CHARS);
  if (operator !== undefined) delegatedKey("operator", operator);
  return operator;
}

/** The public key of a ring or an operator in the spelling of root keys. */
function delegatedKey(what: string, vkey: string): string {
  try {
    const { type, publicKey } = parseVerifierKey(vkey);
    if (type === SIGNATURE_TYPE.ed25519) return encodeRootPublicKey(publicKey);
  } catch (cause) {
    throw configError(`root: ${what} must be a verifier key`, { cause });
  }
  throw configError(`root: ${what} must be an Ed25519 key`);
}

// What threshold means: in production, no single key is enough, and none is indispensable.
function checkThreshold(kind?: RootKind, threshold?: number, keys?: number): void {
  if (threshold === undefined || keys === undefined) return;
  if (threshold > keys) throw configError(`root: threshold ${threshold} of ${keys} keys`);
  if (kind === "production" && (threshold < 2 || threshold === keys))
    throw configError(
      `root: production needs a threshold of at least 2, and a key more than that, not ${threshold} of ${keys}`,
    );
}

function checkLife(made?: number, expires?: number): void {
  if (made === undefined || expires === undefined) return;
  if (expires <= made || expires - made > MAX_ROOT_SECONDS)
    throw configError(`root: expires must be within ${MAX_ROOT_SECONDS} seconds after made`);
}

// A ring key lies in a machine that runs: were it a root key, or that of two realms, one theft would be two.
function checkApart(
  keys: readonly RootKey[],
  realms: readonly RootRealm[],
  operator: string | undefined,
): void {
  const delegated = realms.map(({ realm, ring }) => delegatedKey(`ring of ${realm}`, ring));
  if (operator !== undefined) delegated.push(delegatedKey("operator", operator));
  const all = [...keys.map(({ publicKey }) => publicKey), ...delegated];
  if (new Set(all).size !== all.length)
    throw configError(
      "root: each public key has one place, as a root key, one realm's ring or the operator",
    );
}

/** Lists are sets: sorted, so that one set has one encoding, and without repetition. */
function checkOrder(names: readonly string[], what: string): void {
  if (names.some((name, index) => index > 0 && name <= (names[index - 1] ?? "")))
    throw configError(`root: ${what} must be sorted by name, each once`);
}

function readerOf(value: JsonValue, what: string): MemberReader {
  if (!isJsonObject(value)) throw configError(`${what}: must be an object`);
  return new MemberReader(value, what);
}

function order(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
