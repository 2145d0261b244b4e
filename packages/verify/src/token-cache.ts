/** A map bounded by number and bytes: when it is full, what was put in first goes first. */
export class TokenCache<Value> {
  readonly #entries = new Map<string, { readonly value: Value; readonly bytes: number }>();
  readonly #max: number;
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(max: number, maxBytes: number = Number.POSITIVE_INFINITY) {
    this.#max = max;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  /** A value over `maxBytes` is not kept. */
  set(key: string, value: Value, bytes = 0): void {
    const known = this.#entries.get(key);
    if (known) {
      // Keeps its age and its weight; `bytes` is ignored.
      this.#entries.set(key, { value, bytes: known.bytes });
      return;
    }
    if (this.#max === 0 || bytes > this.#maxBytes) return;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < this.#max && this.#bytes + bytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}
