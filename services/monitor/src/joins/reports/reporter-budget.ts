import { TokenBucket } from "@redoubt/base";

/** What one reporter may cost us; each has its own, so that a flood is charged to whoever sends it (THREAT-31). */
export interface ReporterBudget {
  readonly requests: TokenBucket;
  readonly items: TokenBucket;
  /** Verifications of evidence: a few milliseconds each. */
  readonly evidence: TokenBucket;
}

const REQUESTS = { capacity: 60, perSecond: 20 };
const ITEMS = { capacity: 100_000, perSecond: 20_000 };
const EVIDENCE = { capacity: 256, perSecond: 20 };

/** Only for names that the registry knows: their number is bounded there. */
export class ReporterBudgets {
  readonly #budgets = new Map<string, ReporterBudget>();

  of(reporter: string, now: number): ReporterBudget {
    const known = this.#budgets.get(reporter);
    if (known) return known;
    const budget = {
      requests: new TokenBucket(REQUESTS, now),
      items: new TokenBucket(ITEMS, now),
      evidence: new TokenBucket(EVIDENCE, now),
    };
    this.#budgets.set(reporter, budget);
    return budget;
  }
}
