export interface BucketLimit {
  readonly capacity: number;
  readonly perSecond: number;
}

/** So much at once, so much per second after that. Times are monotonic, in milliseconds. */
export class TokenBucket {
  readonly #limit: BucketLimit;
  #level: number;
  #at: number;

  constructor(limit: BucketLimit, now: number) {
    this.#limit = limit;
    this.#level = limit.capacity;
    this.#at = now;
  }

  /** Takes `amount`, or nothing and false. */
  take(amount: number, now: number): boolean {
    this.#fill(now);
    if (amount > this.#level) return false;
    this.#level -= amount;
    return true;
  }

  /** Whether it is full again: a new one would answer the same, so this one can be forgotten. */
  isFull(now: number): boolean {
    this.#fill(now);
    return this.#level >= this.#limit.capacity;
  }

  #fill(now: number): void {
    const { capacity, perSecond } = this.#limit;
    const refill = (Math.max(0, now - this.#at) / 1000) * perSecond;
    this.#level = Math.min(capacity, this.#level + refill);
    this.#at = now;
  }
}
