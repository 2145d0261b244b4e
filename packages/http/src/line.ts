/** Stands in one line at most. The neighbours are kept in it, so that leaving needs no search. */
export abstract class Standing<T extends Standing<T>> {
  line: Line<T> | undefined;
  before: T | undefined;
  after: T | undefined;
}

/** First come, first out; joining and leaving cost the same however long the line is. */
export class Line<T extends Standing<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;

  get first(): T | undefined {
    return this.#first;
  }

  get size(): number {
    return this.#size;
  }

  /** At the end of this line, out of any other; who stands here already keeps the place. */
  join(one: T): void {
    if (one.line === this) return;
    one.line?.leave(one);
    one.line = this;
    one.before = this.#last;
    if (this.#last) this.#last.after = one;
    else this.#first = one;
    this.#last = one;
    this.#size += 1;
  }

  leave(one: T): void {
    if (one.line !== this) return;
    const { before, after } = one;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    one.line = one.before = one.after = undefined;
    this.#size -= 1;
  }
}
