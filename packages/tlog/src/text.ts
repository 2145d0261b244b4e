import { isUtf8 } from "node:buffer";
import { TlogError } from "./errors.ts";
import type { TlogErrorCode } from "./errors.ts";

/**
 * Text as the signed formats allow it: bounded, valid UTF-8, no control character but newline.
 * C2SP signed-note: text that readers could show differently must not be signed or accepted.
 */
export function readText(
  input: string | Uint8Array,
  maxBytes: number,
  code: TlogErrorCode,
): string {
  const bytes = typeof input === "string" ? Buffer.byteLength(input) : input.length;
  if (bytes > maxBytes)
    throw new TlogError(code, "Text is too long", { found: bytes, expected: maxBytes });
  const text = typeof input === "string" ? input : decode(input);
  // A string with half a surrogate pair has no UTF-8: what is signed would not be what was checked.
  if (!text?.isWellFormed()) throw new TlogError(code, "Text is not valid UTF-8");
  if (hasControl(text, true)) throw new TlogError(code, "Text has control characters");
  return text;
}

/** One line without its newline: not empty, well-formed, no control character. */
export function isLine(text: string): boolean {
  return text !== "" && text.isWellFormed() && !hasControl(text, false);
}

/** C2SP signed-note: control characters are those below U+0020. */
function hasControl(text: string, allowsNewline: boolean): boolean {
  return (allowsNewline ? /[^\n -\u{10FFFF}]/u : /[^ -\u{10FFFF}]/u).test(text);
}

function decode(bytes: Uint8Array): string | undefined {
  if (!isUtf8(bytes)) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
