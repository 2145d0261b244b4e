import { type KeyInfo, type Registry, lifeCycleInput, signingEnd } from "@redoubt/registry";
import { isReadyToSign, publishedFor, type LifeCycleInput } from "@redoubt/keys";
import type { RingPolicy } from "../config.ts";
import type { KeyRing } from "./key-ring.ts";

const ENDED: ReadonlySet<string> = new Set(["destroyed", "revoked"]);

/** Of the key that signed last: it signs, or it must not. */
const KEPT: ReadonlySet<string> = new Set(["active", "tainted", "revoked"]);

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
    return this.#everyKey().filter(({ state }) => !ENDED.has(state));
  }

  #everyKey(): KeyInfo[] {
    return this.#ring
      .own()
      .filter(({ record }) => record.class === this.policy.class && record.custody !== "drill");
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
    const wait = publishedFor(this.#past(key), this.policy.prepublishSeconds);
    const at = Math.max(key.record.signFrom, key.stateAt + wait);
    return at < key.record.signUntil ? at : undefined;
  }

  /** The earliest of them, where nothing of the ring signs. */
  nextAt(): number | undefined {
    const times = this.active() ? [] : this.keys().flatMap((key) => this.readyAt(key) ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Custody has not the key that signed last, as after it was changed. A tainted one is no lost one. */
  #isSignerLost(): boolean {
    const [last] = this.#everyKey()
      .filter(({ activatedAt }) => activatedAt !== undefined)
      .toSorted((a, b) => (b.activatedAt ?? 0) - (a.activatedAt ?? 0));
    return last !== undefined && !KEPT.has(last.state) && !this.isHeld(last);
  }

  #past({ record }: KeyInfo): Pick<LifeCycleInput, "isFirstOfRing" | "isSignerLost"> {
    const isFirstOfRing = !this.#registry().hasActivated(record);
    return { isFirstOfRing, isSignerLost: this.#isSignerLost() };
  }

  /** What it costs that a key signs now: how long a relying party may not know it. 0 where all do. */
  unknownSeconds({ record, stateAt }: KeyInfo, nowSeconds: number): number {
    if (!this.#registry().hasActivated(record)) return 0;
    return Math.max(0, stateAt + this.policy.prepublishSeconds - nowSeconds);
  }

  signingEnd(key: KeyInfo): number {
    return signingEnd(key, this.policy);
  }

  lifeCycle(key: KeyInfo, keys: readonly KeyInfo[], nowSeconds: number): LifeCycleInput {
    const ring = {
      ...this.#past(key),
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
