import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import { activeOf, restorable, standbys, unknownSeconds } from "@redoubt/keys";
import type { KeyInfo, Registry } from "@redoubt/registry";
import type { KeySteps } from "./key-steps.ts";
import type { SignerRing } from "./signer-ring.ts";

export interface KeyOrdersOptions {
  readonly realm: string;
  readonly steps: KeySteps;
  readonly registry: () => Registry;
  readonly clock: Clock;
  readonly refresh: () => Promise<void>;
  /** Throws while the witness contradicts the clock, or vouches for too little. */
  readonly checkTime: () => void;
  /** Tells the monitor what was done by hand: nobody on this machine can take that back. */
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
      const ring = this.#options.steps.rings.find(({ policy }) => policy.class === tokenClass);
      if (!ring)
        throw new ServiceError("ERR_REQUEST_MEMBER", "rotate: class must be one of this signer's");
      const standby = this.#standby(ring, isEarly);
      return this.#takeOver(ring, standby, "key-rotated-by-hand", reason);
    });
  }

  /** A key that was replaced signs again, within the window of its record and its age limit. */
  rollback(kid: string, reason: string): Promise<Takeover> {
    return this.#inOrder(async () => {
      this.#options.checkTime();
      const { ring, key } = this.#ownKey(kid);
      if (key.state === "active") return { kid, before: null };
      if (key.state !== "verify-only" || !ring.isHeld(key))
        throw new ServiceError("ERR_SIGNER_KEY", `Key is ${key.state}: nothing to roll back to`);
      if (!restorable(ring, this.#now()).some((other) => other.kid === kid))
        throw new ServiceError("ERR_SIGNER_KEY_WINDOW", "Key is past its time of signing");
      return this.#takeOver(ring, key, "key-rolled-back", reason);
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
      const ring = this.#ringOf(key);
      if (key.state !== "tainted" && key.state !== "revoked") {
        this.#options.alarm("key-tainted", `Key ${kid}: ${reason}`);
        await steps.statements.taint(key, byOperator(reason));
      }
      try {
        checkTime();
        await steps.step();
        if (isEarly && ring && !activeOf(ring))
          await this.#takeOver(ring, this.#standby(ring, true), "key-rotated-by-hand", reason);
      } catch {
        // The taint stands. The life cycle does the rest as soon as the clock is right.
      }
      // A tainted key can only be revoked, and a revoked one stays so.
      const state = this.#realmKey(kid).state === "revoked" ? "revoked" : "tainted";
      return { state, active: (ring && activeOf(ring)?.kid) ?? null };
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

  async #takeOver(ring: SignerRing, key: KeyInfo, kind: string, reason: string): Promise<Takeover> {
    const { steps, alarm } = this.#options;
    const before = activeOf(ring)?.kid ?? null;
    const early = unknownSeconds(key, ring, this.#now());
    await steps.takeOver(ring, key.kid, byOperator(reason));
    if (key.state === "prepublished") steps.tellEarly(key, early);
    alarm(kind, `Key ${key.kid} signs in place of ${before ?? "none"}: ${reason}`);
    // Makes and publishes the next standby.
    await steps.step();
    return { kid: key.kid, before };
  }

  /** The standby that follows. One that is not ready only where no key of the ring signs and `isEarly` is set. */
  #standby(ring: SignerRing, isEarly: boolean): KeyInfo {
    const now = this.#now();
    const [first] = standbys(ring, now);
    if (first && (first.readyAt <= now || (isEarly && !activeOf(ring)))) return first.key;
    const wait = first ? first.readyAt - now : ring.policy.prepublishSeconds;
    throw new ServiceError("ERR_SIGNER_NO_STANDBY", "No standby was published for long enough", {
      fields: { retryAfterSeconds: Math.max(1, wait) },
    });
  }

  #ringOf(key: KeyInfo): SignerRing | undefined {
    return this.#options.steps.rings.find((ring) => ring.keys.some(({ kid }) => kid === key.kid));
  }

  #ownKey(kid: string): { readonly ring: SignerRing; readonly key: KeyInfo } {
    const key = this.#realmKey(kid);
    const ring = this.#ringOf(key);
    if (!ring) throw new ServiceError("ERR_SIGNER_KEY", "Key is not one that this signer uses");
    return { ring, key };
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

/** P8: who was present is not proven yet, and the registry says so. */
function byOperator(reason: string): string {
  return `operator (presence: none): ${reason}`;
}
