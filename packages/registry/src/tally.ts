/** How often each text is in use, for sets that must stay disjoint while their members come and go. */
export class Tally {
  readonly #counts = new Map<string, number>();

  has(text: string): boolean {
    return this.#counts.has(text);
  }

  /** The texts of a newer statement take the place of those of the statement that it replaces. */
  replace(before: readonly string[], after: readonly string[]): void {
    for (const text of before) this.#change(text, -1);
    for (const text of after) this.#change(text, 1);
  }

  #change(text: string, by: number): void {
    const count = (this.#counts.get(text) ?? 0) + by;
    if (count > 0) this.#counts.set(text, count);
    else this.#counts.delete(text);
  }
}
