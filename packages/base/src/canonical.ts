import type { JsonObject, JsonValue } from "@redoubt/verify/json";

/**
 * Canonical JSON: RFC 8785 restricted to objects, arrays, strings, booleans, null and safe integers.
 * Members are sorted by code unit. Whatever the strict reader would not give back as the same value is refused,
 * so that one value has one encoding and each encoding can be read.
 *
 * @throws RangeError for a value that has no such encoding
 * @example
 * encodeCanonical({ b: [1, "x"], a: true }); // {"a":true,"b":[1,"x"]}
 */
export function encodeCanonical(value: JsonValue): string {
  if (typeof value === "number") return encodeNumber(value);
  if (typeof value === "string") return encodeString(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (isArray(value)) return `[${value.map((item) => encodeCanonical(item)).join(",")}]`;
  return encodeObject(value);
}

export function canonicalBytes(value: JsonValue): Buffer {
  return Buffer.from(encodeCanonical(value), "utf8");
}

function encodeNumber(value: number): string {
  if (!Number.isSafeInteger(value) || Object.is(value, -0))
    throw new RangeError("Canonical JSON number: not a safe integer");
  return String(value);
}

function encodeString(value: string): string {
  if (!value.isWellFormed()) throw new RangeError("Canonical JSON string: lone surrogate");
  return JSON.stringify(value);
}

function encodeObject(value: object): string {
  // A Buffer, a Date, a Map or undefined would otherwise be signed as something that it is not.
  if (!isPlainObject(value)) throw new RangeError("Canonical JSON value: not a JSON value");
  return `{${Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${encodeName(name)}:${encodeCanonical(member)}`)
    .join(",")}}`;
}

function isPlainObject(value: unknown): value is JsonObject {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

// The strict reader refuses a name with an escape, because engines have mistaken one for another name.
function encodeName(name: string): string {
  const text = JSON.stringify(name);
  if (text !== `"${name}"` || name === "__proto__")
    throw new RangeError("Canonical JSON member name: cannot be read back");
  return text;
}

// Array.isArray narrows a readonly array union to any[]; this keeps the element type.
function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
