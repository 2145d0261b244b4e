/** What one caller's reports take of this process's memory, in digests. */
interface Taken {
  /** In reports that came in and were not matched yet. */
  inbox: number;
  /** Delivered, and in no log so far. */
  early: number;
  /** In reports that are kept until they are final, also durably. */
  held: number;
  /** It ran out since the last call of `news`. */
  refused: boolean;
}

export type PlaceKind = "inbox" | "early" | "held";

export interface PlaceLimits {
  /** In the inbox and early together. */
  readonly waiting: number;
  readonly held: number;
}

/** About 45 s of all that one signer signs; 16 MB for each caller at most. */
const DEFAULT_LIMITS: PlaceLimits = { waiting: 200_000, held: 500_000 };

/**
 * THREAT-36: each caller has places of its own, so that one issuer's losses never make another's reports wait. Callers
 * are configured and few, which bounds the whole.
 */
export class CallerPlaces {
  readonly #limits: PlaceLimits;
  readonly #callers = new Map<string, Taken>();

  constructor(limits: PlaceLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** Digests that wait, of all callers. */
  get waiting(): number {
    let sum = 0;
    for (const { inbox, early } of this.#callers.values()) sum += inbox + early;
    return sum;
  }

  /** Whether `count` more fit into the inbox of this caller; no is remembered until `news`. */
  hasRoom(caller: string, count: number): boolean {
    const taken = this.#of(caller);
    const { inbox, early, held } = taken;
    const { waiting, held: maxHeld } = this.#limits;
    const fits = inbox + early + count <= waiting && inbox + held + count <= maxHeld;
    if (!fits) taken.refused = true;
    return fits;
  }

  add(caller: string, kind: PlaceKind, count: number): void {
    this.#of(caller)[kind] += count;
  }

  /** For each caller, whether it ran out since the last call (`full`) or has half its places free (`free`). */
  *news(): IterableIterator<readonly [caller: string, state: "full" | "free"]> {
    for (const [caller, taken] of this.#callers) {
      if (taken.refused) yield [caller, "full"];
      else if (this.#isHalfFree(taken)) yield [caller, "free"];
      taken.refused = false;
    }
  }

  #isHalfFree({ inbox, early, held }: Taken): boolean {
    const { waiting, held: maxHeld } = this.#limits;
    return 2 * (inbox + early) <= waiting && 2 * (inbox + held) <= maxHeld;
  }

  #of(caller: string): Taken {
    const found = this.#callers.get(caller);
    if (found) return found;
    const taken = { inbox: 0, early: 0, held: 0, refused: false };
    this.#callers.set(caller, taken);
    return taken;
  }
}
