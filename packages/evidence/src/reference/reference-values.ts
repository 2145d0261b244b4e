import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJsonObject,
} from "@redoubt/verify/json";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { EvidenceError } from "../evidence-error.ts";
import type { ReferenceSets } from "../policy/policy.ts";

/** What good machines measure, as the release says it: sets of values by name, for a policy's `reference`. */
export interface ReferenceValues {
  /** Which image or firmware this is about. Versions count for one name. */
  readonly name: string;
  /** Grows with each release; a floor keeps an old one with known holes from coming back. */
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  readonly sets: ReferenceSets;
}

export interface ReferenceTrust {
  /** Ed25519 keys of those who release; each counts once. */
  readonly releaseKeys: readonly KeyObject[];
  /** How many of them must have signed; at least 2 where it is production. */
  readonly threshold: number;
  /** Lowest version by name; an absent name has none. */
  readonly floors?: ReadonlyMap<string, number>;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Domain separation: a release key that signs something else signs nothing of this. */
const CONTEXT = Buffer.from("redoubt reference values v1\n");
const MAX_BYTES = 1_048_576;
const MAX_SIGNATURES = 16;
const MAX_VALUES = 10_000;
const NAME = /^[a-z0-9][a-z0-9._@/-]{0,127}$/;
const VALUE = /^(?:[0-9a-f]{2}){1,64}$/;
const SIGNATURE_BYTES = 64;

/** The file before anybody signed it. */
export function encodeReferenceValues({ name, version, notAfter, sets }: ReferenceValues): string {
  const values = Object.fromEntries([...sets].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const payload = JSON.stringify({
    name,
    version,
    notAfter: new Date(notAfter).toISOString(),
    values,
  });
  parsePayload(Buffer.from(payload));
  return fileText({ payload: Buffer.from(payload), signatures: [] });
}

/**
 * Adds a signature; the same key signs once.
 *
 * @throws EvidenceError `ERR_EVIDENCE_REFERENCE`
 */
export function signReferenceValues(file: string | Uint8Array, privateKey: KeyObject): string {
  if (privateKey.asymmetricKeyType !== "ed25519") throw new TypeError("Release keys are Ed25519");
  const { payload, signatures } = parseFile(file);
  parsePayload(payload);
  const key = releaseKeyId(createPublicKey(privateKey));
  const value = sign(null, Buffer.concat([CONTEXT, payload]), privateKey);
  const others = signatures.filter((one) => one.key !== key);
  return fileText({ payload, signatures: [...others, { key, value }] });
}

/**
 * Verifies reference values: enough release keys signed, they have not run out, and the version is not below its floor.
 *
 * @throws EvidenceError `ERR_EVIDENCE_REFERENCE`
 */
export function verifyReferenceValues(
  file: string | Uint8Array,
  trust: ReferenceTrust,
): ReferenceValues {
  if (trust.threshold < 1) throw new RangeError("Threshold: at least 1");
  const { payload, signatures } = parseFile(file);
  const signed = Buffer.concat([CONTEXT, payload]);
  const keys = new Map(trust.releaseKeys.map((key) => [releaseKeyId(key), key]));
  const good = new Set<string>();
  for (const { key: id, value } of signatures) {
    const key = keys.get(id);
    if (key !== undefined && verify(null, signed, key, value)) good.add(id);
  }
  if (good.size < trust.threshold)
    throw refused("signatures", "not enough release keys signed", {
      found: good.size,
      expected: trust.threshold,
    });
  const values = parsePayload(payload);
  if (trust.now > values.notAfter)
    throw refused("notAfter", "reference values have run out", {
      found: new Date(values.notAfter).toISOString(),
    });
  const floor = trust.floors?.get(values.name) ?? 0;
  if (values.version < floor)
    throw refused("version", "below the floor", { found: values.version, expected: floor });
  return values;
}

/** Joins the sets of several files; a name that stands in two of them has the values of both. */
export function joinReferenceSets(all: readonly ReferenceValues[]): ReferenceSets {
  const joined = new Map<string, readonly (string | number | boolean)[]>();
  for (const { sets } of all)
    for (const [name, values] of sets) joined.set(name, [...(joined.get(name) ?? []), ...values]);
  return joined;
}

/** SHA-256 of the SPKI, hexadecimal. */
export function releaseKeyId(key: KeyObject): string {
  return createHash("sha256")
    .update(key.export({ format: "der", type: "spki" }))
    .digest("hex");
}

interface SignedFile {
  readonly payload: Buffer;
  readonly signatures: readonly { readonly key: string; readonly value: Buffer }[];
}

function fileText({ payload, signatures }: SignedFile): string {
  const list = signatures.map(({ key, value }) => ({ key, value: value.toString("base64url") }));
  return `${JSON.stringify({ v: 1, payload: payload.toString("base64url"), signatures: list }, null, 2)}\n`;
}

function parseFile(file: string | Uint8Array): SignedFile {
  const document = parse(file, "file");
  const { v, payload, signatures, ...rest } = document;
  if (v !== 1 || Object.keys(rest).length > 0) throw malformed("file");
  if (!Array.isArray(signatures) || signatures.length > MAX_SIGNATURES)
    throw malformed("signatures");
  return { payload: bytes(payload, "payload"), signatures: signatures.map(parseSignature) };
}

function parseSignature(value: JsonValue): SignedFile["signatures"][number] {
  // mutate: what is no object has no key.
  if (!isJsonObject(value)) throw malformed("signatures");
  const { key, value: signature, ...rest } = value;
  const decoded = bytes(signature, "signatures");
  if (typeof key !== "string" || decoded.length !== SIGNATURE_BYTES || Object.keys(rest).length > 0)
    throw malformed("signatures");
  return { key, value: decoded };
}

function parsePayload(payload: Buffer): ReferenceValues {
  const { name, version, notAfter, values, ...rest } = parse(payload, "payload");
  if (Object.keys(rest).length > 0) throw malformed("payload");
  if (typeof name !== "string" || !NAME.test(name)) throw malformed("name");
  // mutate: what is no number is no integer.
  if (typeof version !== "number") throw malformed("version");
  if (!Number.isSafeInteger(version) || version < 0) throw malformed("version");
  const end = typeof notAfter === "string" ? Date.parse(notAfter) : Number.NaN;
  if (Number.isNaN(end) || new Date(end).toISOString() !== notAfter) throw malformed("notAfter");
  return { name, version, notAfter: end, sets: parseSets(values) };
}

function parseSets(values: JsonValue | undefined): ReferenceSets {
  if (!isJsonObject(values)) throw malformed("values");
  const sets = new Map<string, readonly string[]>();
  let count = 0;
  for (const [name, list] of Object.entries(values)) {
    if (!NAME.test(name) || !Array.isArray(list) || list.length === 0) throw malformed("values");
    count += list.length;
    if (count > MAX_VALUES) throw malformed("values");
    sets.set(name, list.map(parseValue));
  }
  return sets;
}

function parseValue(value: JsonValue): string {
  if (typeof value !== "string" || !VALUE.test(value)) throw malformed("values");
  return value;
}

function parse(text: string | Uint8Array, part: string): JsonObject {
  try {
    return parseJsonObject(text, { maxBytes: MAX_BYTES, maxDepth: 4 });
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_REFERENCE", "Reference values: not JSON", {
      part,
      cause,
    });
  }
}

function bytes(value: JsonValue | undefined, part: string): Buffer {
  // mutate: what is no text is no base64url either.
  if (typeof value !== "string") throw malformed(part);
  try {
    return decodeBase64url(value);
  } catch {
    throw malformed(part);
  }
}

function malformed(part: string): EvidenceError {
  return refused(part, "missing or not as specified", {});
}

function refused(
  part: string,
  problem: string,
  facts: { found?: string | number; expected?: number },
): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_REFERENCE", `Reference values, ${part}: ${problem}`, {
    part,
    ...facts,
  });
}
