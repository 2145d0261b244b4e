import { HASH_BYTES } from "./hash.ts";
import { ownBytes } from "./own-bytes.ts";

/**
 * RFC 4648 §4 with padding, in the one form that an encoder writes; anything else is `undefined`.
 * The decoder of Node.js skips what it does not know, which would give one signature many spellings.
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

export function decodeHash(text: string): Buffer | undefined {
  const bytes = decodeBase64(text);
  return bytes?.length === HASH_BYTES ? ownBytes(bytes) : undefined;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
