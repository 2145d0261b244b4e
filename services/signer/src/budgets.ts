import { ServiceError } from "@redoubt/base";
import type { BudgetPolicy } from "./config.ts";

interface Bucket {
  tokens: number;
  atMs: number;
}

const MAX_BUCKETS = 100_000;

/** Token buckets per (caller, tenant, client): one of them cannot spend what another needs. */
export class Budgets {
  readonly #policy: BudgetPolicy;
  readonly #monotonicMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(policy: BudgetPolicy, monotonicMs: () => number) {
    this.#policy = policy;
    this.#monotonicMs = monotonicMs;
  }

  /** @throws ServiceError `ERR_SIGNER_BUDGET` with `retryAfterSeconds` */
  take(caller: string, tenant: string, client: string): void {
    const bucket = this.#bucket(`${caller}/${tenant}/${client}`);
    if (bucket.tokens < 1)
      throw new ServiceError("ERR_SIGNER_BUDGET", "Issuance budget is used up", {
        fields: { retryAfterSeconds: 1 },
      });
    bucket.tokens -= 1;
  }

  #bucket(name: string): Bucket {
    const { perSecond, burst } = this.#policy;
    const nowMs = this.#monotonicMs();
    const bucket = this.#buckets.get(name);
    if (!bucket) return this.#open(name, nowMs);
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = nowMs;
    return bucket;
  }

  #open(name: string, nowMs: number): Bucket {
    // A name gets here only after the registry knew it, so the bound is not for callers to reach.
    if (this.#buckets.size >= MAX_BUCKETS) this.#dropFull(nowMs);
    const bucket = { tokens: this.#policy.burst, atMs: nowMs };
    this.#buckets.set(name, bucket);
    return bucket;
  }

  /** Buckets that are full again hold nothing worth remembering. */
  #dropFull(nowMs: number): void {
    const { perSecond, burst } = this.#policy;
    for (const [name, { tokens, atMs }] of this.#buckets)
      if (tokens + ((nowMs - atMs) / 1000) * perSecond >= burst) this.#buckets.delete(name);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size >= MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
  }
}
