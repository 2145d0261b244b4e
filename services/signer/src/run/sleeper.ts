/** A pause that can be ended early, and whose timer keeps no process alive. One sleep at a time. */
export class Sleeper {
  #end: (() => void) | undefined;
  #isClosed = false;

  sleep(ms: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.wake(), ms).unref();
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  wake(): void {
    const end = this.#end;
    this.#end = undefined;
    end?.();
  }

  /** No sleep lasts from here on. */
  close(): void {
    this.#isClosed = true;
    this.wake();
  }
}
