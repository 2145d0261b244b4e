import { ServiceError, TokenBucket } from "@redoubt/base";
import type { BudgetPolicy } from "../config.ts";

const MAX_BUCKETS = 100_000;

/** Token buckets per (caller, tenant, client): one of them cannot spend what another needs. */
export class Budgets {
  readonly #policy: BudgetPolicy;
  readonly #monotonicMs: () => number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(policy: BudgetPolicy, monotonicMs: () => number) {
    this.#policy = policy;
    this.#monotonicMs = monotonicMs;
  }

  /** @throws ServiceError `ERR_SIGNER_BUDGET` with `retryAfterSeconds` */
  take(caller: string, tenant: string, client: string): void {
    const now = this.#monotonicMs();
    if (!this.#bucket(`${caller}/${tenant}/${client}`, now).take(1, now))
      throw new ServiceError("ERR_SIGNER_BUDGET", "Issuance budget is used up", {
        fields: { retryAfterSeconds: 1 },
      });
  }

  #bucket(name: string, now: number): TokenBucket {
    const known = this.#buckets.get(name);
    if (known) return known;
    // Only names that are in the registry get here, so no caller reaches the bound with names of its own.
    if (this.#buckets.size >= MAX_BUCKETS) this.#dropFull(now);
    const { burst: capacity, perSecond } = this.#policy;
    const bucket = new TokenBucket({ capacity, perSecond }, now);
    this.#buckets.set(name, bucket);
    return bucket;
  }

  /** Buckets that are full again hold nothing worth remembering. */
  #dropFull(now: number): void {
    for (const [name, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(name);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size >= MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
  }
}
