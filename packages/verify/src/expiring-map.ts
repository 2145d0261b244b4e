interface Entry<Value> {
  readonly value: Value;
  readonly expiresAt: number;
  readonly bytes: number;
}

/**
 * A map whose entries expire; times are milliseconds. When it is full (`max` entries or `maxBytes`), the oldest go
 * first.
 */
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

  /** Makes room first. `until.bytes` is what the entry adds towards `maxBytes`; 0 where that is not bounded. */
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
