/** How many values each owner has, and all of them together; a transaction that failed is undone. */
export class Shares {
  readonly #held = new Map<string, number>();
  /** What each owner had when the transaction began, where that has changed since. */
  readonly #before = new Map<string, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  of(owner: string): number {
    return this.#held.get(owner) ?? 0;
  }

  add(owner: string, count: number): void {
    const had = this.of(owner);
    if (!this.#before.has(owner)) this.#before.set(owner, had);
    this.#set(owner, had + count);
  }

  commit(): void {
    this.#before.clear();
  }

  undo(): void {
    for (const [owner, had] of this.#before) this.#set(owner, had);
    this.#before.clear();
  }

  #set(owner: string, count: number): void {
    this.#total += count - this.of(owner);
    if (count > 0) this.#held.set(owner, count);
    else this.#held.delete(owner);
  }
}
