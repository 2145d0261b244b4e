import { TokenError } from "./token-error.ts";
import { integerOption, refuseUnknownMembers } from "./option-reader.ts";

/**
 * Remembers DPoP proofs that were used (RFC 9449 §11.1). Several processes that accept the same tokens share one.
 * A store that answers with a promise works with `verifyAsync()` only; it sets its own time limit.
 */
export interface ReplayStore {
  /**
   * Stores a key of 43 base64url characters until that time, in one atomic step. True if it was not there; false for a
   * replay. An error refuses the proof with `ERR_REPLAY_STORE`.
   */
  add(key: string, expiresAtSeconds: number): boolean | Promise<boolean>;
}

export interface ReplayStoreOptions {
  /** Default 500000, at most 10000000: some 1600 new proofs a second where each is remembered for 305 seconds. */
  readonly maxEntries?: number;
  /** Memory for all entries, by estimate. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** A replay store in the memory of this process. */
export interface MemoryReplayStore extends ReplayStore {
  /** @throws TokenError `ERR_REPLAY_STORE` when it is full: what is still fresh is never forgotten */
  add(key: string, expiresAtSeconds: number): boolean;
  readonly size: number;
  readonly bytes: number;
}

// Set slot, list slot and string header: 52 bytes where measured (Node 24), and room for a set that has just grown.
const ENTRY_OVERHEAD_BYTES = 85;

/**
 * Makes a replay store for one process.
 *
 * @throws TypeError for an unknown option or one out of range
 * @example
 * const replay = createReplayStore({ maxEntries: 100_000 });
 */
export function createReplayStore(options: ReplayStoreOptions = {}): MemoryReplayStore {
  refuseUnknownMembers(options, ["maxEntries", "maxBytes", "now"], "replay store");
  const { maxEntries = 500_000, maxBytes = 67_108_864, now = Date.now } = options;
  integerOption("maxEntries", maxEntries, 1, 10_000_000);
  integerOption("maxBytes", maxBytes, 1, 2 ** 32);
  if (typeof now !== "function") throw new TypeError("now: not a function");
  return new ReplayMemory(maxEntries, maxBytes, now);
}

class ReplayMemory implements MemoryReplayStore {
  readonly #keys = new Set<string>();
  /** Keys by the second at which they end: few lists, each dropped as a whole. */
  readonly #endings = new Map<number, string[]>();
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #now: () => number;
  #bytes = 0;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(maxEntries: number, maxBytes: number, now: () => number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
    this.#now = now;
  }

  get size(): number {
    return this.#keys.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(key: string, expiresAtSeconds: number): boolean {
    this.#dropEnded(Math.floor(this.#now() / 1000));
    if (this.#keys.has(key)) return false;
    const bytes = key.length + ENTRY_OVERHEAD_BYTES;
    // RFC 9449 §11.1: to forget a proof that is still fresh would be to accept it twice.
    if (this.#keys.size >= this.#maxEntries || this.#bytes + bytes > this.#maxBytes)
      throw new TokenError("ERR_REPLAY_STORE", "Replay store is full", { part: "full" });
    this.#keys.add(key);
    this.#bytes += bytes;
    const ending = this.#endings.get(expiresAtSeconds);
    if (ending === undefined) this.#endings.set(expiresAtSeconds, [key]);
    else ending.push(key);
    return true;
  }

  #dropEnded(nowSeconds: number): void {
    // mutate: a second sweep in one second finds nothing.
    if (nowSeconds === this.#sweptAt) return;
    this.#sweptAt = nowSeconds;
    for (const [endsAt, keys] of this.#endings) {
      // Written so that nothing is forgotten at NaN, from a clock that gives no time.
      if (!(endsAt <= nowSeconds)) continue;
      this.#endings.delete(endsAt);
      for (const key of keys) {
        this.#keys.delete(key);
        this.#bytes -= key.length + ENTRY_OVERHEAD_BYTES;
      }
    }
  }
}
