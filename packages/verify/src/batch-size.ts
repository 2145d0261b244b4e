/**
 * How many items go out together: half as many after a refusal, until the item at fault is alone; more after a success.
 */
export class BatchSize {
  readonly #max: number;
  #items: number;

  constructor(max: number) {
    this.#max = max;
    this.#items = max;
  }

  get items(): number {
    return this.#items;
  }

  refused(items: number): void {
    this.#items = Math.max(1, Math.ceil(items / 2));
  }

  taken(): void {
    this.#items = Math.min(this.#max, this.#items * 2);
  }
}

// RFC 9110 §15.5.1, §15.5.14, §15.5.21: these speak of the content; other refusals do not depend on it.
export function isContentRefusal(status: number): boolean {
  return status === 400 || status === 413 || status === 422;
}
