import { JsonError } from "./json-error.ts";
import { isProven } from "./json-proof.ts";
import { scanJson } from "./json-scan.ts";
import type { JsonObject, JsonValue } from "./json-value.ts";

export { JsonError, type JsonErrorCode } from "./json-error.ts";
export type { JsonObject, JsonValue } from "./json-value.ts";

/** Bounds of one document; whoever wrote the document controls both. */
export interface JsonLimits {
  /** Encoded size, UTF-8. Default 1 MiB. */
  readonly maxBytes?: number;
  /** Nested objects and arrays; `{}` has depth 1. Default 8. */
  readonly maxDepth?: number;
}

const DEFAULT_MAX_BYTES = 1_048_576;
const DEFAULT_MAX_DEPTH = 8;

// RFC 8259 §8.1: a byte order mark is not JSON; ignoreBOM keeps it in the text, where the parser refuses it.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Parses JSON that somebody else wrote, and refuses what two parsers could read differently: duplicate members,
 * escaped member names, `__proto__`, lone surrogates, bad UTF-8, numbers beyond the range of a double.
 *
 * @throws JsonError, and nothing else, for every bad document
 * @example
 * parseJson('{"a":[1,true]}'); // { a: [1, true] }
 */
export function parseJson(text: string | Uint8Array, limits: JsonLimits = {}): JsonValue {
  const { maxBytes = DEFAULT_MAX_BYTES, maxDepth = DEFAULT_MAX_DEPTH } = limits;
  const source = typeof text === "string" ? boundText(text, maxBytes) : decode(text, maxBytes);
  const unverified = parseOrUndefined(source);
  // mutate: the scanner below takes longer to say the same.
  if (unverified !== undefined && isProven(unverified, source, maxDepth)) return unverified;
  scanJson(source, maxDepth);
  if (unverified === undefined) throw new JsonError("ERR_JSON_SYNTAX", "JSON syntax error");
  return unverified;
}

/**
 * As `parseJson`, for documents whose top level must be an object.
 *
 * @throws JsonError, `ERR_JSON_NOT_OBJECT` for any other top level
 */
export function parseJsonObject(text: string | Uint8Array, limits: JsonLimits = {}): JsonObject {
  const value = parseJson(text, limits);
  if (!isJsonObject(value)) throw new JsonError("ERR_JSON_NOT_OBJECT", "JSON is not an object");
  return value;
}

/** Tells an object from every other JSON value, arrays and null included. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseOrUndefined(source: string): JsonValue | undefined {
  try {
    const value: JsonValue = JSON.parse(source);
    return value;
  } catch {
    // The scanner finds the reason and names it; V8's message quotes the input.
    return undefined;
  }
}

function boundText(text: string, maxBytes: number): string {
  // No UTF-16 unit takes more than three bytes, so a short text needs no count.
  if (
    // mutate: counting the bytes of a short text would only cost time.
    text.length * 3 > maxBytes &&
    Buffer.byteLength(text) > maxBytes
  )
    throw new JsonError("ERR_JSON_SIZE", `JSON size: more than ${maxBytes} bytes`);
  if (!text.isWellFormed()) throw new JsonError("ERR_JSON_SURROGATE", "JSON text: lone surrogate");
  return text;
}

function decode(bytes: Uint8Array, maxBytes: number): string {
  if (bytes.length > maxBytes)
    throw new JsonError(
      "ERR_JSON_SIZE",
      `JSON size: ${bytes.length} bytes, expected ≤ ${maxBytes}`,
    );
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString("utf8");
  // The lenient decoder is the faster one, and writes U+FFFD wherever it had to forgive something.
  // mutate: the strict decoder reads the same from valid bytes.
  if (!text.includes("\ufffd")) return text;
  try {
    return utf8.decode(bytes);
  } catch {
    // RFC 8725 §3.7, RFC 3629: the only failure of a fatal decoder is an invalid sequence.
    throw new JsonError("ERR_JSON_UTF8", "JSON text: invalid UTF-8");
  }
}
