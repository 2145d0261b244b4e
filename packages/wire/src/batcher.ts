/** What is in no batch yet. It decides what goes first, and may turn items away. */
export interface BatchQueue<T> {
  readonly length: number;
  push(item: T): void;
  /** The next ones, `max` at most. */
  take(max: number): T[];
}

export interface BatcherOptions<T> {
  /** What one batch holds at most. */
  readonly maxItems: number;
  /** How many batches are under way at most. */
  readonly maxBatches: number;
  /** So many items that wait go at once, even while another batch is under way. */
  readonly minBeside: number;
  /** How long fewer items than that wait, at most, for the end of the batch under way. */
  readonly holdMs: number;
  /** How long items wait, while nothing is under way, until callers that were just answered ask again; 0: not at all. */
  readonly lingerMs: number;
  /** Resolves when the batch has ended, whatever became of it. It must never reject. */
  readonly send: (batch: readonly T[]) => Promise<void>;
  /** In the order of arrival, and without bound, where none is given. */
  readonly queue?: BatchQueue<T>;
}

class ArrivalQueue<T> implements BatchQueue<T> {
  readonly #items: T[] = [];

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  take(max: number): T[] {
    return this.#items.splice(0, max);
  }
}

/** With fewer callers than this, waiting for them would not make a batch worth its wait. */
const MIN_LINGER = 16;

/**
 * Collects what arrives into batches. A caller alone never waits. Where there are many, each batch has costs of its
 * own (signatures, a sync, a wake-up of the other side), and two half-full batches would take turns for ever: the
 * next one waits for the end of the one under way, and for those that were just answered to ask again.
 */
export class Batcher<T> {
  readonly #options: BatcherOptions<T>;
  readonly #waiting: BatchQueue<T>;
  #batches = 0;
  #callers = 0;
  #isScheduled = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BatcherOptions<T>) {
    this.#options = options;
    this.#waiting = options.queue ?? new ArrivalQueue();
  }

  /** Items that are in no batch yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  add(item: T): void {
    this.#waiting.push(item);
    if (this.#isScheduled) return;
    const waitMs = this.#waitMs();
    if (waitMs === undefined || (waitMs > 0 && this.#timer)) return;
    this.#isScheduled = true;
    // After this turn's reads, so that everything that arrived together is one batch.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#look();
    });
  }

  /** Takes out all that is in no batch yet. */
  clear(): T[] {
    this.#stopTimer();
    return this.#waiting.take(Infinity);
  }

  /** How long to keep what waits; undefined: until a batch ends, or because nothing waits. */
  #waitMs(): number | undefined {
    const { maxBatches, minBeside, holdMs, lingerMs } = this.#options;
    const waiting = this.#waiting.length;
    if (waiting === 0 || this.#batches >= maxBatches) return undefined;
    if (waiting >= minBeside) return 0;
    if (this.#batches > 0) return holdMs;
    return this.#callers >= MIN_LINGER && waiting < this.#callers ? lingerMs : 0;
  }

  #look(): void {
    let waitMs = this.#waitMs();
    for (; waitMs === 0; waitMs = this.#waitMs()) this.#send();
    if (waitMs !== undefined) this.#timer ??= setTimeout(() => this.#send(), waitMs);
  }

  #send(): void {
    this.#stopTimer();
    this.#batches += 1;
    void this.#run(this.#waiting.take(this.#options.maxItems));
  }

  async #run(batch: readonly T[]): Promise<void> {
    await this.#options.send(batch);
    this.#batches -= 1;
    this.#callers = batch.length + this.#waiting.length;
    this.#stopTimer();
    this.#look();
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
