import { hash, randomBytes } from "node:crypto";
import type { Clock } from "@redoubt/base";

export interface FailureLimits {
  /** Failures of one client from one address before it has to wait. */
  readonly burst: number;
  /** After that, one more attempt each time so long has passed. */
  readonly intervalMs: number;
  /** How many counters there are; names share them. */
  readonly slots: number;
}

const DEFAULT_LIMITS: FailureLimits = { burst: 20, intervalMs: 2000, slots: 65_536 };

/**
 * Bounds guessing per (tenant, client, address) in constant memory (THREAT-34). A keyed hash gives each its slot, which
 * it may share: nobody can aim at another's slot, and known and unknown clients are treated alike.
 */
export class FailureLimiter {
  readonly #limits: FailureLimits;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #seed = randomBytes(16).toString("base64url");
  /** When each slot will have forgiven all its failures, in monotonic milliseconds. */
  readonly #forgivenAt: Float64Array;
  #quietAt = 0;

  constructor(clock: Pick<Clock, "monotonic">, limits: Partial<FailureLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#clock = clock;
    this.#forgivenAt = new Float64Array(this.#limits.slots);
  }

  /** Milliseconds until another attempt is allowed, 0 for now. */
  waitMs(tenant: string, client: string, address: string): number {
    const now = this.#clock.monotonic();
    // No failures anywhere: the usual case costs one comparison.
    if (now >= this.#quietAt) return 0;
    const { burst, intervalMs } = this.#limits;
    const forgivenAt = this.#forgivenAt[this.#slot(tenant, client, address)] ?? 0;
    return Math.max(0, forgivenAt - now - (burst - 1) * intervalMs);
  }

  fail(tenant: string, client: string, address: string): void {
    const slot = this.#slot(tenant, client, address);
    const now = this.#clock.monotonic();
    const forgivenAt = Math.max(this.#forgivenAt[slot] ?? 0, now) + this.#limits.intervalMs;
    this.#forgivenAt[slot] = forgivenAt;
    this.#quietAt = Math.max(this.#quietAt, forgivenAt);
  }

  #slot(tenant: string, client: string, address: string): number {
    const text = JSON.stringify([this.#seed, tenant, client, address]);
    return hash("sha256", text, "buffer").readUInt32LE(0) % this.#limits.slots;
  }
}
