import {
  isReadyToSign,
  lifeCycleInput,
  signingEnd,
  type KeyInfo,
  type LifeCycleInput,
  type Registry,
} from "@redoubt/keys";
import type { RingPolicy } from "./config.ts";
import type { KeyRing } from "./key-ring.ts";

const ENDED: ReadonlySet<string> = new Set(["destroyed", "revoked"]);

/** What registry and custody say about the keys of one ring of this signer. Looks anew at each call. */
export class RingFacts {
  readonly policy: RingPolicy;
  readonly #ring: KeyRing;
  readonly #registry: () => Registry;

  constructor(policy: RingPolicy, ring: KeyRing, registry: () => Registry) {
    this.policy = policy;
    this.#ring = ring;
    this.#registry = registry;
  }

  /** Those that have not ended, oldest first: ended ones stay in the registry for ever. */
  keys(): KeyInfo[] {
    return this.#ring
      .own()
      .filter(
        ({ state, record }) =>
          record.class === this.policy.class && record.custody !== "drill" && !ENDED.has(state),
      );
  }

  active(): KeyInfo | undefined {
    return this.keys().find(({ state }) => state === "active");
  }

  isHeld({ record }: KeyInfo): boolean {
    return this.#ring.custodyOf(record) !== undefined;
  }

  /** Pre-published keys that may take over now, the longest known first. */
  ready(nowSeconds: number): KeyInfo[] {
    return this.keys()
      .filter((key) => this.#isReady(key, nowSeconds))
      .toSorted((a, b) => a.stateAt - b.stateAt);
  }

  /** When a pre-published key may take over; undefined where it never can. */
  readyAt(key: KeyInfo): number | undefined {
    if (key.state !== "prepublished" || !this.isHeld(key)) return undefined;
    const at = Math.max(key.record.signFrom, key.stateAt + this.policy.prepublishSeconds);
    return at < key.record.signUntil ? at : undefined;
  }

  signingEnd(key: KeyInfo): number {
    return signingEnd(key, this.policy);
  }

  lifeCycle(key: KeyInfo, keys: readonly KeyInfo[], nowSeconds: number): LifeCycleInput {
    const ring = {
      isFirstOfRing: !this.#registry().hasActivated(key.record),
      ringHasActive: keys.some(({ state }) => state === "active"),
      successorReady: keys.some((other) => this.#isReady(other, nowSeconds)),
    };
    return lifeCycleInput(key, ring, this.policy);
  }

  #isReady(key: KeyInfo, nowSeconds: number): boolean {
    const { state, stateAt, record } = key;
    return (
      isReadyToSign({ ...record, state, stateAt }, this.policy, nowSeconds) && this.isHeld(key)
    );
  }
}
