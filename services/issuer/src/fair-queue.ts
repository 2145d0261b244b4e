import type { BatchQueue } from "@redoubt/wire";

export interface FairQueueOptions<T> {
  /** So many fit into one batch: as long as no more wait, none of them waits for another. */
  readonly batch: number;
  /** Waiting at most, for one client. */
  readonly perClient: number;
  /** Waiting at most, for all of them. */
  readonly total: number;
  readonly clientOf: (item: T) => string;
  /** Told of each that is turned away. */
  readonly refuse: (item: T) => void;
}

/**
 * THREAT-36: a queue for each client. A batch takes one item from each client in turn, and the rest from those that
 * have more. So a client that floods waits behind itself, and a client that is alone gets whole batches.
 */
export class FairQueue<T> implements BatchQueue<T> {
  readonly #options: FairQueueOptions<T>;
  /** All that waits, in the order of arrival, as long as it fits into one batch. */
  #few: T[] = [];
  /** All that waits, once it does not fit into one batch. The client whose turn it is stands first; none is empty. */
  readonly #queues = new Map<string, T[]>();
  #queued = 0;

  constructor(options: FairQueueOptions<T>) {
    this.#options = options;
  }

  get length(): number {
    return this.#few.length + this.#queued;
  }

  push(item: T): void {
    if (this.#queued === 0 && this.#few.length < this.#options.batch) {
      this.#few.push(item);
      return;
    }
    const few = this.#few;
    this.#few = [];
    for (const one of few) this.#add(one);
    this.#add(item);
  }

  take(max: number): T[] {
    if (this.#queued === 0) return this.#few.splice(0, max);
    const taken: T[] = [];
    while (taken.length < max) {
      const [first] = this.#queues;
      if (!first) break;
      const [client, queue] = first;
      this.#queues.delete(client);
      // A client alone needs no turns.
      const count = this.#queues.size === 0 ? max - taken.length : 1;
      taken.push(...queue.splice(0, count));
      if (queue.length > 0) this.#queues.set(client, queue);
    }
    this.#queued -= taken.length;
    return taken;
  }

  #add(item: T): void {
    const { perClient, total, clientOf, refuse } = this.#options;
    const client = clientOf(item);
    const queue = this.#queues.get(client) ?? [];
    if (queue.length >= perClient) return refuse(item);
    if (this.#queued >= total && !this.#makeRoom(queue.length)) return refuse(item);
    queue.push(item);
    this.#queues.set(client, queue);
    this.#queued += 1;
  }

  /** Turns away the newest of the client that has most, unless that is who asks for room. */
  #makeRoom(own: number): boolean {
    let [longest]: (T[] | undefined)[] = [];
    for (const queue of this.#queues.values())
      if (queue.length > (longest?.length ?? 0)) longest = queue;
    if (!longest || longest.length <= own + 1) return false;
    const last = longest.pop();
    if (last === undefined) return false;
    this.#queued -= 1;
    this.#options.refuse(last);
    return true;
  }
}
