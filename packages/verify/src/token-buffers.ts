import { writePlainBase64url } from "./base64url.ts";
import type { JsonValue } from "./json.ts";
import { decodeSegment, parseSegment } from "./token-json.ts";

/**
 * The bytes of the token that is being verified. Each token overwrites those of the one before, which costs less than
 * new memory for each. So nothing handed out here may be kept, and one token must be finished before the next is
 * loaded.
 */
export class TokenBuffers {
  readonly #text: Buffer;
  readonly #signature: Buffer;
  readonly #payload: Buffer;
  /** The last view of #signature: nearly every signature is as long as the one before. */
  #view: Buffer;
  #isPlain = false;

  constructor(maxTokenLength: number) {
    // Room for one more character of UTF-8: in a buffer of just `maxTokenLength` bytes, a token of full length that is
    // not
    // ASCII would be cut there, and seem to have as many bytes as characters.
    this.#text = Buffer.alloc(maxTokenLength + 4);
    this.#signature = Buffer.alloc(maxTokenLength);
    this.#payload = Buffer.alloc(maxTokenLength);
    this.#view = this.#signature.subarray(0, 0);
  }

  /** Takes a token of at most `maxTokenLength` characters. */
  load(token: string): void {
    // As many bytes as characters means ASCII, which `writePlainBase64url` demands.
    this.#isPlain =
      this.#text.write(token, 0, "utf8") === token.length &&
      !token.includes("+") &&
      !token.includes("/");
  }

  /**
   * Decodes the signature.
   *
   * @throws TokenError `ERR_TOKEN_NOT_CANONICAL`
   */
  signature(segment: string): Buffer {
    const bytes = this.#isPlain ? writePlainBase64url(segment, this.#signature) : undefined;
    // Not plain, or not canonical: the slower decoder decides, and says why.
    if (bytes === undefined) return decodeSegment(segment, "signature");
    if (bytes !== this.#view.length) this.#view = this.#signature.subarray(0, bytes);
    return this.#view;
  }

  /**
   * Decodes the payload and reads its JSON.
   *
   * @throws TokenError
   */
  payload(segment: string): JsonValue {
    const bytes = this.#isPlain ? writePlainBase64url(segment, this.#payload) : undefined;
    if (bytes === undefined) return parseSegment(decodeSegment(segment, "payload"), "payload");
    return parseSegment(this.#payload.subarray(0, bytes), "payload");
  }

  /** The first `length` characters of the token, once all its segments were found to be base64url. */
  signingInput(length: number): Buffer {
    return this.#text.subarray(0, length);
  }

  /** Leaves nothing of the last token in memory. */
  wipe(): void {
    for (const bytes of [this.#text, this.#signature, this.#payload]) bytes.fill(0);
  }
}
