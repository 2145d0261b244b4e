import { hash, randomBytes } from "node:crypto";
import type { Clock } from "@redoubt/base";

export interface FailureLimits {
  /** So many failures of one name, before there are too many. */
  readonly burst: number;
  /** After that, one more each time so long has passed. */
  readonly intervalMs: number;
  /** How many counters there are; names share them. */
  readonly slots: number;
}

/** What one failure came to. */
export interface Failure {
  /** Milliseconds until the next one would not be too many; 0 where this one was not. */
  readonly waitMs: number;
  /** It is the first one too many, since the name was last forgiven everything. */
  readonly startsBurst: boolean;
}

const DEFAULT_LIMITS: FailureLimits = { burst: 20, intervalMs: 2000, slots: 65_536 };

/**
 * Counts failures by name in constant memory (THREAT-34, THREAT-39). A keyed hash gives each name its slot, which it may
 * share: nobody can aim at another's slot, and known and unknown clients are treated alike. What it says holds for
 * failures only: a right credential is never refused for it.
 */
export class FailureLimiter {
  readonly #limits: FailureLimits;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #seed = randomBytes(16).toString("base64url");
  /** When each slot will have forgiven all its failures, in monotonic milliseconds. */
  readonly #forgivenAt: Float64Array;
  /** 1 from the first failure too many until all are forgiven. */
  readonly #bursts: Uint8Array;
  #quietAt = 0;

  constructor(clock: Pick<Clock, "monotonic">, limits: Partial<FailureLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#clock = clock;
    this.#forgivenAt = new Float64Array(this.#limits.slots);
    this.#bursts = new Uint8Array(this.#limits.slots);
  }

  /** Whether one more failure would be too many. */
  isSpent(...name: readonly string[]): boolean {
    const now = this.#clock.monotonic();
    // No failures anywhere: the usual case costs one comparison.
    return now < this.#quietAt && this.#waitMs(this.#slot(name), now) > 0;
  }

  /** One that is too many does not count: the wait never grows beyond one interval. */
  fail(...name: readonly string[]): Failure {
    const slot = this.#slot(name);
    const now = this.#clock.monotonic();
    const forgivenAt = Math.max(this.#forgivenAt[slot] ?? 0, now);
    if (forgivenAt === now) this.#bursts[slot] = 0;
    const waitMs = this.#waitMs(slot, now);
    if (waitMs > 0) {
      const startsBurst = this.#bursts[slot] === 0;
      this.#bursts[slot] = 1;
      return { waitMs, startsBurst };
    }
    this.#forgivenAt[slot] = forgivenAt + this.#limits.intervalMs;
    this.#quietAt = Math.max(this.#quietAt, forgivenAt + this.#limits.intervalMs);
    return { waitMs, startsBurst: false };
  }

  #waitMs(slot: number, now: number): number {
    const { burst, intervalMs } = this.#limits;
    return Math.max(0, (this.#forgivenAt[slot] ?? 0) - now - (burst - 1) * intervalMs);
  }

  #slot(name: readonly string[]): number {
    const text = JSON.stringify([this.#seed, ...name]);
    return hash("sha256", text, "buffer").readUInt32LE(0) % this.#limits.slots;
  }
}
