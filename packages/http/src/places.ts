import { Line, Standing } from "./line.ts";

export interface PlaceLimits {
  /** Connections that have proven nothing. */
  readonly connections: number;
  readonly connectionsPerName: number;
  /** Of strangers and names together. */
  readonly connectionsTotal: number;
}

export interface PlaceCounts {
  readonly strangers: number;
  readonly named: number;
  /** Closed because a newcomer needed the place. */
  readonly evicted: number;
  /** Proven callers that stayed among the strangers because no more named places were left. */
  readonly unplaced: number;
}

/** Below this part of its bound the strangers' pool has room again. */
const ROOM = 0.75;

/**
 * Who may hold a connection (THREAT-36). Strangers share one pool, and a newcomer always gets in: it takes the place
 * of the stranger that is worth least. Whoever has proven a name stands in that name's own pool, where no stranger and
 * no other name can take anything.
 */
export class Places {
  readonly #limits: PlaceLimits;
  readonly #onExhausted: (isExhausted: boolean) => void;
  readonly #strangers = new Pool(undefined);
  readonly #pools = new Map<string, Pool>();
  #named = 0;
  #evicted = 0;
  #unplaced = 0;
  #isExhausted = false;
  #isCalm = true;

  constructor(limits: PlaceLimits, onExhausted: (isExhausted: boolean) => void) {
    this.#limits = limits;
    this.#onExhausted = onExhausted;
  }

  counts(): PlaceCounts {
    return {
      strangers: this.#strangers.size,
      named: this.#named,
      evicted: this.#evicted,
      unplaced: this.#unplaced,
    };
  }

  /** `close` is called when somebody else needs the place. */
  arrive(close: () => void): Place {
    this.#makeRoom();
    return new Place(this, this.#strangers, close);
  }

  /**
   * Called at even intervals. Running out is over once nobody lost a place for a whole interval and there is room:
   * whoever fills and empties the pool as fast as possible causes one report of each kind in that time, no more.
   */
  settle(): void {
    const wasCalm = this.#isCalm;
    this.#isCalm = true;
    const hasRoom = this.#strangers.size <= this.#limits.connections * ROOM;
    if (!this.#isExhausted || !wasCalm || !hasRoom) return;
    this.#isExhausted = false;
    this.#onExhausted(false);
  }

  /** Use `Place.promote`. */
  promote(place: Place, name: string): void {
    const own = this.#pools.get(name) ?? new Pool(name);
    const isFull = own.size >= this.#limits.connectionsPerName;
    const yielding = isFull ? own.leastUsed : undefined;
    // All of its own are at work: this one is as well off among the strangers while it works, and asks again.
    if (isFull && !yielding) return;
    const isNew = place.name === undefined && !yielding;
    if (isNew && this.#named >= this.#limits.connectionsTotal - this.#limits.connections) {
      this.#unplaced += 1;
      return this.#ranOut();
    }
    this.#move(place, own);
    if (!yielding) return;
    this.#makeRoom();
    this.#move(yielding, this.#strangers);
  }

  /** Use `Place.leave`. */
  left({ name }: Pool): void {
    if (name !== undefined) this.#named -= 1;
    this.#forget(name);
  }

  #move(place: Place, pool: Pool): void {
    const { name } = place;
    place.enter(pool);
    if (name !== undefined) this.#named -= 1;
    this.#forget(name);
    if (pool.name === undefined) return;
    this.#named += 1;
    this.#pools.set(pool.name, pool);
  }

  #forget(name: string | undefined): void {
    if (name !== undefined && this.#pools.get(name)?.size === 0) this.#pools.delete(name);
  }

  #makeRoom(): void {
    if (this.#strangers.size < this.#limits.connections) return;
    this.#evicted += 1;
    this.#strangers.leastWorth?.evict();
    this.#ranOut();
  }

  #ranOut(): void {
    this.#isCalm = false;
    if (this.#isExhausted) return;
    this.#isExhausted = true;
    this.#onExhausted(true);
  }
}

/** Each line by how long its connections stand in it. */
class Pool {
  readonly name: string | undefined;
  /** Without a complete request: silent, half a head, half a body. */
  readonly waiting = new Line<Place>();
  /** Everything that was asked is answered. */
  readonly idle = new Line<Place>();
  /** A complete request waits for its answer. */
  readonly busy = new Line<Place>();

  constructor(name: string | undefined) {
    this.name = name;
  }

  get size(): number {
    return this.waiting.size + this.idle.size + this.busy.size;
  }

  get leastWorth(): Place | undefined {
    return this.waiting.first ?? this.idle.first ?? this.busy.first;
  }

  /** A caller with a name is trusted to end the request that it began. */
  get leastUsed(): Place | undefined {
    return this.idle.first ?? this.waiting.first;
  }
}

/** One connection. */
export class Place extends Standing<Place> {
  readonly #places: Places;
  readonly #close: () => void;
  #pool: Pool;
  #underWay = 0;
  // A new connection owes a request from the start.
  #owesRequest = true;
  #hasLeft = false;

  constructor(places: Places, pool: Pool, close: () => void) {
    super();
    this.#places = places;
    this.#close = close;
    this.#pool = pool;
    pool.waiting.join(this);
  }

  get name(): string | undefined {
    return this.#pool.name;
  }

  /** Requests that wait for their answers; more than one when they are pipelined. */
  get underWay(): number {
    return this.#underWay;
  }

  /** What came on this connection was proven to be from `name`. Cheap to say again with each request. */
  promote(name: string): void {
    if (name !== this.#pool.name && !this.#hasLeft) this.#places.promote(this, name);
  }

  /** The head of a request is there, its body is not. */
  begin(): void {
    this.#owesRequest = true;
    this.#stand();
  }

  /** A request is complete. */
  take(): void {
    this.#owesRequest = false;
    this.#underWay += 1;
    this.#stand();
  }

  /** A request that was taken is answered. Whether the client reads the answer is its own affair. */
  answered(): void {
    this.#underWay -= 1;
    this.#stand();
  }

  /** The connection is closed. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.line?.leave(this);
    this.#places.left(this.#pool);
  }

  /** For `Places` only. */
  evict(): void {
    this.leave();
    this.#close();
  }

  /** For `Places` only. */
  enter(pool: Pool): void {
    this.#pool = pool;
    this.#stand();
  }

  #stand(): void {
    if (this.#hasLeft) return;
    const { waiting, idle, busy } = this.#pool;
    if (this.#underWay > 0) busy.join(this);
    else if (this.#owesRequest) waiting.join(this);
    else idle.join(this);
  }
}
