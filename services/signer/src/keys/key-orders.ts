import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import type { KeyInfo, Registry } from "@redoubt/registry";
import type { KeySteps } from "./key-steps.ts";
import type { RingFacts } from "./ring-facts.ts";

export interface KeyOrdersOptions {
  readonly realm: string;
  readonly steps: KeySteps;
  readonly registry: () => Registry;
  readonly clock: Clock;
  readonly refresh: () => Promise<void>;
  /** Throws while the witness contradicts the clock, or vouches for too little. */
  readonly checkTime: () => void;
  /** Tells the monitor: what was done by hand is seen where nobody here can take it back. */
  readonly alarm: (kind: string, detail: string) => void;
}

/** Which key signed before, and which does now; both of the same ring. */
export interface Takeover {
  readonly kid: string;
  readonly before: string | null;
}

/**
 * What an operator may ask of the keys of a realm. Each is a statement in the registry before it takes effect, and
 * leaves the ring in a state that the life cycle goes on from by itself.
 */
export class KeyOrders {
  readonly #options: KeyOrdersOptions;

  constructor(options: KeyOrdersOptions) {
    this.#options = options;
  }

  /**
   * The standby takes over now. P6: a standby that verifiers may not know yet takes over only where no key signs and
   * the caller says `isEarly`.
   */
  rotate(tokenClass: string, reason: string, isEarly = false): Promise<Takeover> {
    return this.#inOrder(async () => {
      this.#options.checkTime();
      const facts = this.#options.steps.rings.find(({ policy }) => policy.class === tokenClass);
      if (!facts)
        throw new ServiceError("ERR_REQUEST_MEMBER", "rotate: class must be one of this signer's");
      const standby = facts.ready(this.#now())[0] ?? (isEarly && unready(facts));
      if (!standby) throw this.#noStandby(facts);
      return this.#takeOver(facts, standby, "key-rotated-by-hand", reason);
    });
  }

  /** A key that was replaced signs again, within the window of its record and its age limit. */
  rollback(kid: string, reason: string): Promise<Takeover> {
    return this.#inOrder(async () => {
      this.#options.checkTime();
      const { facts, key } = this.#ownKey(kid);
      if (key.state === "active") return { kid, before: null };
      if (key.state !== "verify-only" || !facts.isHeld(key))
        throw new ServiceError("ERR_SIGNER_KEY", `Key is ${key.state}: nothing to roll back to`);
      // THREAT-02: a roll-back makes no key younger, and no window longer.
      if (this.#now() < key.record.signFrom || this.#now() >= facts.signingEnd(key))
        throw new ServiceError("ERR_SIGNER_KEY_WINDOW", "Key is past its time of signing");
      return this.#takeOver(facts, key, "key-rolled-back", reason);
    });
  }

  /**
   * A key must go: nothing is signed under it any more, and the standby takes over (THREAT-12); with `isEarly` even one
   * that verifiers may not know yet.
   */
  taint(
    kid: string,
    reason: string,
    isEarly = false,
  ): Promise<{ state: "tainted" | "revoked"; active: string | null }> {
    return this.#inOrder(async () => {
      const { steps, checkTime } = this.#options;
      const key = this.#realmKey(kid);
      const facts = this.#factsOf(key);
      if (key.state !== "tainted" && key.state !== "revoked") {
        this.#options.alarm("key-tainted", `Key ${kid}: ${reason}`);
        await steps.statements.taint(key, byOperator(reason));
      }
      try {
        checkTime();
        await steps.step();
        const early = isEarly && facts && unready(facts);
        if (early) await this.#takeOver(facts, early, "key-rotated-by-hand", reason);
      } catch {
        // The taint stands. The rest is the life cycle's, as soon as the clock is beyond doubt.
      }
      // A tainted key can only be revoked, and a revoked one stays so.
      const state = this.#realmKey(kid).state === "revoked" ? "revoked" : "tainted";
      return { state, active: facts?.active()?.kid ?? null };
    });
  }

  /** Whether automation must keep a key published. */
  retain(kid: string, retain: boolean, reason: string): Promise<{ retained: boolean }> {
    return this.#inOrder(async () => {
      const key = this.#realmKey(kid);
      if ((key.retainedBy !== undefined) === retain) return { retained: retain };
      if (key.retainedBy === "operator")
        throw new ServiceError("ERR_SIGNER_KEY", "Key is retained by the operator's statement");
      if (retain && !["prepublished", "active", "verify-only"].includes(key.state))
        throw new ServiceError("ERR_SIGNER_KEY", `Key is ${key.state}: it is not published`);
      await this.#options.steps.statements.retain(key, retain, byOperator(reason));
      this.#options.alarm(retain ? "key-retained" : "key-released", `Key ${kid}: ${reason}`);
      return { retained: retain };
    });
  }

  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    return this.#options.steps.inOrder(async () => {
      await this.#options.refresh();
      return task();
    });
  }

  async #takeOver(facts: RingFacts, key: KeyInfo, kind: string, reason: string): Promise<Takeover> {
    const { steps, alarm } = this.#options;
    const before = facts.active()?.kid ?? null;
    const unknownSeconds = facts.unknownSeconds(key, this.#now());
    await steps.takeOver(facts, key.kid, byOperator(reason));
    if (key.state === "prepublished") steps.tellEarly(key, unknownSeconds);
    alarm(kind, `Key ${key.kid} signs in place of ${before ?? "none"}: ${reason}`);
    // The next standby is published from now on.
    await steps.step();
    return { kid: key.kid, before };
  }

  #noStandby(facts: RingFacts): ServiceError {
    const times = facts.keys().flatMap((key) => facts.readyAt(key) ?? []);
    const wait =
      times.length > 0 ? Math.min(...times) - this.#now() : facts.policy.prepublishSeconds;
    return new ServiceError("ERR_SIGNER_NO_STANDBY", "No standby was published for long enough", {
      fields: { retryAfterSeconds: Math.max(1, wait) },
    });
  }

  #factsOf(key: KeyInfo): RingFacts | undefined {
    return this.#options.steps.rings.find((facts) =>
      facts.keys().some(({ kid }) => kid === key.kid),
    );
  }

  #ownKey(kid: string): { readonly facts: RingFacts; readonly key: KeyInfo } {
    const key = this.#realmKey(kid);
    const facts = this.#factsOf(key);
    if (!facts) throw new ServiceError("ERR_SIGNER_KEY", "Key is not one that this signer uses");
    return { facts, key };
  }

  #realmKey(kid: string): KeyInfo {
    const key = this.#options.registry().keys.get(kid);
    if (!key || key.realm !== this.#options.realm)
      throw new ServiceError("ERR_SIGNER_KEY", "No such key in this realm");
    return key;
  }

  #now(): number {
    return nowSeconds(this.#options.clock);
  }
}

/** The standby that was published first, where no key of the ring signs. */
function unready(facts: RingFacts): KeyInfo | undefined {
  if (facts.active()) return undefined;
  const [first] = facts
    .keys()
    .filter((key) => facts.readyAt(key) !== undefined)
    .toSorted((a, b) => a.stateAt - b.stateAt);
  return first;
}

/** P8: who was present is not proven yet, and the registry says so. */
function byOperator(reason: string): string {
  return `operator (presence: none): ${reason}`;
}
