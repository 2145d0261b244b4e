/** So much at once, so much per second after that. Time is active time, in milliseconds. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  #level: number;
  #at: number;

  constructor(limit: { readonly capacity: number; readonly perSecond: number }, now: number) {
    this.#capacity = limit.capacity;
    this.#perSecond = limit.perSecond;
    this.#level = limit.capacity;
    this.#at = now;
  }

  /** Takes `amount`, or nothing and false. */
  take(amount: number, now: number): boolean {
    const refill = (Math.max(0, now - this.#at) / 1000) * this.#perSecond;
    this.#level = Math.min(this.#capacity, this.#level + refill);
    this.#at = now;
    if (amount > this.#level) return false;
    this.#level -= amount;
    return true;
  }
}
