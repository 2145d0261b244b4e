import type { KeyInfo } from "@redoubt/registry";
import { activeOf, isDrill, standbys, type Ring } from "@redoubt/keys";
import type { RingPolicy } from "../config.ts";
import type { KeyRing } from "./key-ring.ts";

/** One ring of this signer, as registry and custody know it. Looks anew at each call. */
export class SignerRing implements Ring<KeyInfo> {
  readonly policy: RingPolicy;
  readonly #ring: KeyRing;
  #seen: { readonly own: readonly KeyInfo[]; readonly keys: readonly KeyInfo[] } | undefined;

  constructor(policy: RingPolicy, ring: KeyRing) {
    this.policy = policy;
    this.#ring = ring;
  }

  get keys(): readonly KeyInfo[] {
    const own = this.#ring.own();
    // Asked many times for each step, as `own` is.
    if (this.#seen?.own !== own) this.#seen = { own, keys: own.filter((key) => this.has(key)) };
    return this.#seen.keys;
  }

  has({ record }: KeyInfo): boolean {
    return record.class === this.policy.class && !isDrill(record);
  }

  readonly isHeld = ({ record }: KeyInfo): boolean => this.#ring.custodyOf(record) !== undefined;
}

/** POSIX seconds from which the next standby may sign; undefined where a key is active or there is no standby. */
export function nextSigningAt(ring: SignerRing, nowSeconds: number): number | undefined {
  return activeOf(ring) ? undefined : standbys(ring, nowSeconds)[0]?.readyAt;
}
