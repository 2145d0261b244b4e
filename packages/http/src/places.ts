import type { EventSink } from "@redoubt/base";
import type { HttpEvent } from "./events.ts";

export interface PlaceLimits {
  /** Places for connections that have proven nothing. */
  readonly connections: number;
  /** Places of one name: of somebody who has proven who it is, such as a client. */
  readonly perName: number;
  /** Places of all names together. */
  readonly named: number;
  /** Once no connection has lost its place for so long, places are no longer exhausted. */
  readonly calmMs: number;
}

export interface PlacesOptions {
  readonly limits: PlaceLimits;
  readonly sink: EventSink<HttpEvent>;
  /** Called when connections begin to lose their places, and when that is over. */
  readonly onExhausted?: (isExhausted: boolean) => void;
}

export interface PlaceCounts {
  readonly unproven: number;
  readonly named: number;
  /** Connections that lost their place to a newcomer. */
  readonly evicted: number;
}

/** The connections that share places, in four lanes; in each lane, whoever has been there longest comes first. */
class Pool {
  /** No request yet, or the beginning of one. */
  readonly silent = new Set<Place>();
  /** Between two requests. */
  readonly idle = new Set<Place>();
  /** The headers are complete, the body is not. */
  readonly reading = new Set<Place>();
  /** A complete request waits for its answer. */
  readonly running = new Set<Place>();

  get size(): number {
    return this.silent.size + this.idle.size + this.reading.size + this.running.size;
  }
}

/**
 * Who may be connected (THREAT-36). Strangers share a bounded pool: in a full one, a newcomer takes the place of a
 * connection that does not use its own. Whoever has proven a name has places that no stranger can take.
 */
export class Places implements Disposable {
  readonly #options: PlacesOptions;
  readonly #unproven = new Pool();
  readonly #byName = new Map<string, Pool>();
  #named = 0;
  #evicted = 0;
  #evictedBefore = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  counts(): PlaceCounts {
    return { unproven: this.#unproven.size, named: this.#named, evicted: this.#evicted };
  }

  /** `close` ends the connection when it loses its place. */
  admit(close: () => void): Place {
    this.#makeRoom();
    return new Place(this, this.#unproven, close);
  }

  /** For `Place`. Where no place of this name can be had, the connection stays where it is. */
  promote(place: Place, name: string): void {
    const { perName, named } = this.#options.limits;
    const pool = this.#byName.get(name) ?? new Pool();
    const isFull = pool.size >= perName;
    const oldest = isFull ? (first(pool.idle) ?? first(pool.reading)) : undefined;
    if (isFull ? !oldest : this.#named >= named) return;
    this.#byName.set(name, pool);
    this.#named += 1;
    place.moveTo(pool, name);
    if (!oldest) return;
    this.#makeRoom();
    oldest.moveTo(this.#unproven, undefined);
  }

  /** For `Place`: it is no longer in the pool of this name. */
  leave(name: string): void {
    this.#named -= 1;
    if (this.#byName.get(name)?.size === 0) this.#byName.delete(name);
  }

  #makeRoom(): void {
    if (this.#unproven.size < this.#options.limits.connections) return;
    this.#victim()?.evict();
    this.#evicted += 1;
    if (this.#timer === undefined) this.#runOut();
  }

  /**
   * Which connection loses its place. A newcomer is silent, too, until its request is read. So silent ones may have half
   * of the places before one of them goes: otherwise, where all others are idle, each newcomer would evict the one before
   * it. A request under way is the last to go.
   */
  #victim(): Place | undefined {
    const { silent, idle, reading, running } = this.#unproven;
    if (silent.size * 2 >= this.#options.limits.connections) return first(silent);
    return first(idle) ?? first(reading) ?? first(silent) ?? first(running);
  }

  #runOut(): void {
    const { sink, limits, onExhausted } = this.#options;
    const { evicted, ...counts } = this.counts();
    this.#evictedBefore = evicted - 1;
    sink("connections_full", counts);
    this.#watch(evicted, limits.calmMs);
    onExhausted?.(true);
  }

  #watch(evicted: number, calmMs: number): void {
    this.#timer = setTimeout(() => {
      if (this.#evicted === evicted) this.#recover();
      else this.#watch(this.#evicted, calmMs);
    }, calmMs).unref();
  }

  #recover(): void {
    const { sink, onExhausted } = this.#options;
    this.#timer = undefined;
    sink("connections_free", { evicted: this.#evicted - this.#evictedBefore });
    onExhausted?.(false);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** One connection's place. */
export class Place {
  readonly #places: Places;
  readonly #close: () => void;
  #pool: Pool;
  #lane: Set<Place>;
  #name: string | undefined;
  #hasSpoken = false;
  #isReading = false;
  #running = 0;
  #isGone = false;

  /** Only `Places` makes one. */
  constructor(places: Places, pool: Pool, close: () => void) {
    this.#places = places;
    this.#pool = pool;
    this.#close = close;
    this.#lane = pool.silent.add(this);
  }

  /** Complete requests without an answer. */
  get underWay(): number {
    return this.#running;
  }

  /** The headers of a request are complete; its body follows. */
  reading(): void {
    this.#hasSpoken = true;
    this.#isReading = true;
    this.#change();
  }

  /** A request is complete. */
  running(): void {
    this.#hasSpoken = true;
    this.#isReading = false;
    this.#running += 1;
    this.#change();
  }

  /** A complete request was answered. */
  answered(): void {
    this.#running -= 1;
    this.#change();
  }

  /** A request was answered before it was complete. */
  refused(): void {
    this.#isReading = false;
    this.#change();
  }

  /** Whoever speaks on this connection has proven to be `name`. */
  promote(name: string): void {
    if (this.#name === name || this.#isGone) return;
    this.#places.promote(this, name);
  }

  /** For `Places`. */
  moveTo(pool: Pool, name: string | undefined): void {
    this.#lane.delete(this);
    if (this.#name !== undefined) this.#places.leave(this.#name);
    this.#pool = pool;
    this.#name = name;
    this.#lane = this.#laneNow().add(this);
  }

  /** For `Places`. */
  evict(): void {
    this.gone();
    this.#close();
  }

  /** The connection is closed; more than one call changes nothing. */
  gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#lane.delete(this);
    if (this.#name !== undefined) this.#places.leave(this.#name);
  }

  #change(): void {
    const lane = this.#laneNow();
    if (lane === this.#lane || this.#isGone) return;
    this.#lane.delete(this);
    this.#lane = lane.add(this);
  }

  #laneNow(): Set<Place> {
    if (this.#running > 0) return this.#pool.running;
    if (this.#isReading) return this.#pool.reading;
    return this.#hasSpoken ? this.#pool.idle : this.#pool.silent;
  }
}

function first(lane: ReadonlySet<Place>): Place | undefined {
  const [place] = lane;
  return place;
}
