/** Why a base64url text was refused; stable. */
export type Base64urlErrorCode =
  | "ERR_BASE64URL_ALPHABET"
  | "ERR_BASE64URL_LENGTH"
  | "ERR_BASE64URL_SIZE"
  | "ERR_BASE64URL_SPARE_BITS";

/** A text that is not the one base64url form of its bytes. The message holds no part of it. */
export class Base64urlError extends Error {
  override readonly name = "Base64urlError";
  readonly code: Base64urlErrorCode;

  constructor(code: Base64urlErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Either an exact or a largest decoded size. */
export interface Base64urlLimits {
  readonly bytes?: number;
  /** Default 1 MiB. */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 1_048_576;

/** @internal What is published needs no types of Node.js. */
export function decodeBase64url(text: string, limits?: Base64urlLimits): Buffer;
/**
 * Decodes base64url without padding (RFC 4648 §5, §3.5). For each value of the bytes exactly one text is accepted. The
 * result has memory of its own: whoever keeps a slice of Node's buffer pool keeps 64 KiB alive with it.
 *
 * @throws Base64urlError for a foreign character, an impossible length, spare bits that are not zero, or a size
 *   outside the limits
 * @example
 * decodeBase64url("AQI", { bytes: 2 }); // bytes 1 and 2
 */
export function decodeBase64url(text: string, limits?: Base64urlLimits): Uint8Array;
export function decodeBase64url(text: string, limits: Base64urlLimits = {}): Buffer {
  const { bytes, maxBytes = bytes ?? DEFAULT_MAX_BYTES } = limits;
  if (text.length > Math.ceil((maxBytes * 4) / 3))
    throw new Base64urlError("ERR_BASE64URL_SIZE", `Base64url: more than ${maxBytes} bytes`);
  const decoded = Buffer.allocUnsafeSlow(Math.floor((text.length * 3) / 4));
  decoded.write(text, 0, "base64url");
  // Node's decoder skips characters that it does not know and also takes base64; encoding the bytes again shows both.
  if (decoded.toString("base64url") !== text) throw refusal(text);
  if (bytes !== undefined && decoded.length !== bytes)
    throw new Base64urlError(
      "ERR_BASE64URL_SIZE",
      `Base64url: ${decoded.length} bytes, expected ${bytes}`,
    );
  return decoded;
}

/**
 * As `decodeBase64url`, for a text of ASCII without `+` and `/`, into `target`, which the caller made large enough.
 * Node's decoder skips each foreign character, so that the result is shorter than it should be; only the spare bits
 * need a check of their own. Returns the number of bytes, or undefined for a text that is not canonical.
 * @internal
 */
export function writePlainBase64url(asciiText: string, target: Buffer): number | undefined {
  const bytes = Math.floor((asciiText.length * 3) / 4);
  return hasCanonicalEnd(asciiText) && target.write(asciiText, 0, "base64url") === bytes
    ? bytes
    : undefined;
}

// RFC 4648 §3.5: the last character of a partial group carries 2 or 4 bits that mean nothing, and must be zero.
function hasCanonicalEnd(text: string): boolean {
  const last = text.charAt(text.length - 1);
  switch (text.length % 4) {
    case 0:
      return true;
    case 2:
      return "AQgw".includes(last);
    case 3:
      return "AEIMQUYcgkosw048".includes(last);
    default:
      return false;
  }
}

export function encodeBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url");
}

function refusal(text: string): Base64urlError {
  if (!/^[\w-]*$/.test(text))
    return new Base64urlError("ERR_BASE64URL_ALPHABET", "Base64url: foreign character");
  if (text.length % 4 === 1)
    return new Base64urlError("ERR_BASE64URL_LENGTH", "Base64url: impossible length");
  return new Base64urlError("ERR_BASE64URL_SPARE_BITS", "Base64url: spare bits are not zero");
}
