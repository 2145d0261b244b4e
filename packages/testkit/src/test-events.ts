/** What was said, and a way to wait for it. */
export class TestEvents<T> {
  readonly all: T[] = [];
  readonly #listeners = new Set<() => void>();

  add(event: T): void {
    this.all.push(event);
    for (const listener of this.#listeners) listener();
  }

  /** Resolves with the first that fits, past or future. */
  async first(fits: (event: T) => boolean): Promise<T> {
    for (;;) {
      const found = this.all.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const listener = (): void => {
          this.#listeners.delete(listener);
          resolve();
        };
        this.#listeners.add(listener);
      });
    }
  }
}
