interface Entry<Value> {
  readonly value: Value;
  readonly expiresAt: number;
  readonly bytes: number;
}

/** A map that forgets by time, and the oldest first when it holds as many or as much as it may. */
export class ExpiringMap<Value> {
  readonly #entries = new Map<string, Entry<Value>>();
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

  get(key: string, now: number): Value | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && now < entry.expiresAt ? entry.value : undefined;
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }

  /** `until`: when it is forgotten, and what it weighs where that is bounded. */
  set(
    key: string,
    value: Value,
    until: { readonly expiresAt: number; readonly bytes?: number },
    now: number,
  ): void {
    const { expiresAt, bytes = 0 } = until;
    this.delete(key);
    for (const [oldest, entry] of this.#entries) {
      const hasRoom = this.#entries.size < this.#max && this.#bytes + bytes <= this.#maxBytes;
      if (entry.expiresAt > now && hasRoom) break;
      this.delete(oldest);
    }
    this.#entries.set(key, { value, expiresAt, bytes });
    this.#bytes += bytes;
  }
}
