const HALF = 32;
const MAX_LENGTH = 72;

/** Writes P-256 signatures as DER, always into the same memory: each call overwrites what the call before returned. */
export class EcdsaDer {
  readonly #bytes = Buffer.alloc(MAX_LENGTH);
  /** One view for each length that occurred: a new view for each signature would cost more than the conversion. */
  readonly #views: (Buffer | undefined)[] = [];

  /** Converts r ‖ s (RFC 7518 §3.4), 64 bytes, to the DER that OpenSSL reads. OpenSSL refuses an r or s of zero. */
  encode(signature: Uint8Array): Buffer {
    const rEnd = this.#writeInteger(2, signature, 0);
    const end = this.#writeInteger(rEnd, signature, HALF);
    this.#bytes[0] = 0x30;
    this.#bytes[1] = end - 2;
    return (this.#views[end] ??= this.#bytes.subarray(0, end));
  }

  #writeInteger(at: number, signature: Uint8Array, from: number): number {
    const bytes = this.#bytes;
    const end = from + HALF;
    let start = from;
    // X.690 §8.3.2: no superfluous leading zero, and one where the number would be negative.
    while (start < end - 1 && signature[start] === 0) start += 1;
    let to = at + 2;
    if ((signature[start] ?? 0) >= 0x80) bytes[to++] = 0;
    while (start < end) bytes[to++] = signature[start++] ?? 0;
    bytes[at] = 0x02;
    bytes[at + 1] = to - at - 2;
    return to;
  }
}
