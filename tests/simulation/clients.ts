import type { Random } from "./random.ts";

/** What the publisher served from one time on. */
export interface Published {
  readonly at: number;
  readonly kids: ReadonlySet<string>;
}

export type Verdict = "known" | "unknown" | "stale";

const HOUR = 3600;
const DAY = 24 * HOUR;
/** ARCHITECTURE §3.4: a JWKS may be kept for an hour. Of bundles, which are not built, three hours are assumed. */
export const JWKS_MAX_AGE = HOUR;
export const BUNDLE_MAX_AGE = 3 * HOUR;
const MEAN_BETWEEN_OUTAGES = 12 * DAY;
const MAX_OUTAGE = 7 * DAY;

/** A relying party with the keys that it fetched last, now and then cut off for up to a week. */
export class Client {
  readonly kind: "bundle" | "jwks";
  readonly #random: Random;
  #held: Published;
  #nextFetch = 0;
  #backAt = 0;

  constructor(kind: "bundle" | "jwks", random: Random, held: Published) {
    this.kind = kind;
    this.#random = random;
    this.#held = held;
  }

  /** Seconds since what it holds was published. */
  age(now: number): number {
    return now - this.#held.at;
  }

  step(now: number, stepSeconds: number, published: Published): void {
    if (now >= this.#backAt && this.#random.chance(stepSeconds / MEAN_BETWEEN_OUTAGES))
      this.#backAt = now + this.#random.magnitude(HOUR, MAX_OUTAGE);
    if (now < this.#backAt || now < this.#nextFetch) return;
    this.#held = published;
    // A bundle verifier asks every five minutes; other clients when their cache ends, each at its own age.
    const wait = this.kind === "bundle" ? 0 : this.#random.between(0.2, 1) * JWKS_MAX_AGE;
    this.#nextFetch = now + wait;
  }

  /** An ordinary client that is cut off goes on with what it has; a bundle verifier says that it is stale (P7). */
  verify(kid: string, now: number): Verdict {
    if (this.kind === "bundle" && this.age(now) > BUNDLE_MAX_AGE) return "stale";
    return this.#held.kids.has(kid) ? "known" : "unknown";
  }
}
