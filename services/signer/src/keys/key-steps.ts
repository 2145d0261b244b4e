import { errorCode, errorLine, nowSeconds, backOffMs } from "@redoubt/base";
import { type KeyInfo } from "@redoubt/registry";
import { decideNextState, isPublished, publishedFor, vouchFor, type KeyState } from "@redoubt/keys";
import type { RingPolicy } from "../config.ts";
import { makeKey, type KeyMakingOptions } from "./key-making.ts";
import { KeyStatements, type KeyStatementsOptions } from "./key-statements.ts";
import { KeyWatch, type KeyWatchOptions } from "./key-watch.ts";
import { RingFacts } from "./ring-facts.ts";

export interface KeyStepsOptions
  extends Omit<KeyMakingOptions, "statements">, KeyStatementsOptions, KeyWatchOptions {
  readonly policies: readonly RingPolicy[];
  /** Reads what the registry holds by now. */
  readonly refresh: () => Promise<void>;
  /** Replaced by tests that take a rule of the life cycle away, never by configuration. */
  readonly decide?: typeof decideNextState;
}

interface Step {
  readonly state: KeyState;
  readonly reason: string;
}

/** In one go of one ring: two new keys and the first activation are three. */
const MAX_STEPS = 8;
/** Somebody else writes into the registry all the time; past it the next tick goes on. */
const MAX_LOST_SWAPS = 32;
const BACK_OFF = { firstMs: 1000, maxMs: 30_000 } as const;

/**
 * Takes the steps of the life cycle that the clock asks for, one registry entry before each takes effect. Safe to
 * repeat after any crash: what is done and what is left is read from the registry and from custody.
 */
export class KeySteps {
  readonly statements: KeyStatements;
  readonly rings: readonly RingFacts[];
  readonly #options: KeyStepsOptions;
  readonly #watch: KeyWatch;
  #last: Promise<unknown> = Promise.resolve();
  #failure: string | undefined;
  #isRingTold = false;
  #failures = 0;
  #notBeforeMs = -Infinity;

  constructor(options: KeyStepsOptions) {
    const { policies, ring, registry } = options;
    this.#options = options;
    this.rings = policies.map((policy) => new RingFacts(policy, ring, registry));
    this.statements = new KeyStatements(options);
    this.#watch = new KeyWatch(options);
  }

  /** Not before what failed has had its pause: a statement that stays void must not fill the registry. */
  async tickWhenDue(): Promise<void> {
    // Ages are looked at even where the steps fail: that is when they matter.
    this.#watch.look(this.rings, this.#now());
    if (this.#options.clock.monotonic() >= this.#notBeforeMs) await this.tick();
  }

  tick(): Promise<void> {
    return this.inOrder(() => this.step());
  }

  /** One after another: a step and an operator's order never decide about the same ring at once. */
  inOrder<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#last.then(task);
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** All that is due; to be called inside `inOrder`. */
  async step(): Promise<void> {
    this.#watch.look(this.rings, this.#now());
    this.#failure = undefined;
    await this.#attempt(() => this.#vouchAnew());
    for (const facts of this.rings) {
      // Each on its own: a full disk that stops the making of keys must not stop a takeover.
      await this.#attempt(() => this.#advance(facts));
      await this.#attempt(async () => {
        if (await this.#fill(facts)) await this.#advance(facts);
      });
    }
    await this.#attempt(() => this.#retireDrills());
    await this.#attempt(() => this.#destroyEnded());
    this.#failures = this.#failure === undefined ? 0 : this.#failures + 1;
    this.#notBeforeMs = this.#options.clock.monotonic() + backOffMs(this.#failures, BACK_OFF);
  }

  /**
   * One key signs in place of another, now: two entries, and whoever breaks off between them is followed by the life
   * cycle, which activates a standby. To be called inside `inOrder`.
   *
   * @throws ServiceError `ERR_LEDGER_SIZE`, `ERR_SIGNER_REGISTRY_VOID`
   */
  async takeOver(facts: RingFacts, kid: string, reason: string): Promise<void> {
    try {
      await this.#againWhileLost(async () => {
        const successor = facts.keys().find((key) => key.kid === kid);
        if (!successor || successor.state === "active") return false;
        const active = facts.active();
        await (active
          ? this.statements.state(active, "verify-only", reason)
          : this.statements.state(successor, "active", reason));
        return true;
      });
    } finally {
      this.#options.ring.refresh();
    }
  }

  async #attempt(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      // The ledger is away, custody is full, or the compare-and-swap was lost: the next tick reads anew.
      const code = errorCode(error);
      this.#options.events.keyStepFailed(code);
      // A lost compare-and-swap wrote nothing: it needs no pause, only a newer registry.
      if (code !== "ERR_LEDGER_SIZE") this.#failure = code;
      if (code === "ERR_SIGNER_RING") this.#tellRing(errorLine(error));
    } finally {
      // Only now: between the two entries of a takeover the old key signs on, so that nobody is refused.
      this.#options.ring.refresh();
    }
  }

  /** Runs `step` until it says that nothing is left. After a lost compare-and-swap it decides anew. */
  async #againWhileLost(step: () => Promise<boolean>): Promise<void> {
    for (let [count, lost] = [0, 0]; count < MAX_STEPS && lost <= MAX_LOST_SWAPS;) {
      try {
        if (!(await step())) return;
        count += 1;
      } catch (error) {
        lost += 1;
        if (errorCode(error) !== "ERR_LEDGER_SIZE" || lost > MAX_LOST_SWAPS) throw error;
        await this.#options.refresh();
      }
    }
  }

  /** Whether a key was made. */
  async #fill(facts: RingFacts): Promise<boolean> {
    // One that signs, and the standbys that every verifier already knows.
    const wanted = 1 + facts.policy.standby;
    const isWanting = (): boolean =>
      facts.keys().filter((key) => USABLE.has(key.state) && facts.isHeld(key)).length < wanted;
    let isMade = false;
    await this.#againWhileLost(async () => {
      await this.#lookForLost(facts);
      if (!isWanting()) return false;
      await makeKey({ ...this.#options, statements: this.statements }, facts.policy);
      isMade = true;
      return true;
    });
    return isMade;
  }

  /** Steps until the clock asks for none: what ends a key's signing first, so that its successor can follow. */
  async #advance(facts: RingFacts): Promise<void> {
    await this.#againWhileLost(async () => {
      await this.#lookForLost(facts);
      const keys = facts.keys();
      const steps = keys.flatMap((key) => {
        const step = this.#nextStep(key, keys, facts);
        return step ? [{ key, step }] : [];
      });
      const [next] = steps.toSorted((a, b) => urgency(a.step) - urgency(b.step));
      if (!next) return false;
      const { key, step } = next;
      const unknownSeconds = facts.unknownSeconds(key, this.#now());
      await this.statements.state(key, step.state, step.reason);
      if (step.state === "active") this.tellEarly(key, unknownSeconds);
      if (step.reason === IS_LOST && key.state === "active") this.#tellLost(key, facts);
      return true;
    });
  }

  /** P6: that a key signs before everybody knows it is told with its price. */
  tellEarly({ kid }: KeyInfo, unknownSeconds: number): void {
    if (unknownSeconds === 0) return;
    const price = `may refuse its tokens for up to ${Math.ceil(unknownSeconds / 60)} min`;
    const detail = `Key ${kid} signs early: relying parties with an older key set ${price}`;
    this.#options.alarm("key-activated-early", detail);
  }

  #tellRing(detail: string): void {
    if (!this.#isRingTold) this.#options.alarm("ring-key-missing", detail);
    this.#isRingTold = true;
  }

  #tellLost({ kid }: KeyInfo, facts: RingFacts): void {
    const isFollowed = facts.ready(this.#now()).length > 0;
    const past = { isFirstOfRing: false, isSignerLost: true };
    const minutes = publishedFor(past, facts.policy.prepublishSeconds) / 60;
    const then = isFollowed
      ? "its standby takes over"
      : `no standby is ready, and nothing is signed: a key signs ${Math.ceil(minutes)} min after it was published`;
    const detail = `Custody does not hold key ${kid}, which signed: ${then}`;
    this.#options.alarm("custody-lost-key", detail);
  }

  /** Why a ring signs nothing, for an operator; undefined where each has a key that does. */
  waiting(): string | undefined {
    const times = this.rings.flatMap((facts) => facts.nextAt() ?? []);
    if (times.length === 0) return undefined;
    const at = new Date(Math.max(...times) * 1000).toISOString();
    return `No key signs before ${at}: see redoubt keys list`;
  }

  #nextStep(key: KeyInfo, keys: readonly KeyInfo[], facts: RingFacts): Step | undefined {
    const lost = facts.isHeld(key) ? undefined : LOST[key.state];
    // THREAT-11: not even without its private half does a retained key leave a JWKS by itself.
    if (lost && (lost !== "retired" || key.retainedBy === undefined))
      return { state: lost, reason: IS_LOST };
    const { decide = decideNextState } = this.#options;
    const now = this.#now();
    const state = decide(facts.lifeCycle(key, keys, now), facts.policy, now);
    // A lost standby that is retained stays published, and never comes to sign.
    if (state === "active" && lost) return undefined;
    const isEarly = state === "active" && facts.unknownSeconds(key, now) > 0;
    return state && { state, reason: isEarly ? IS_EARLY : "life cycle" };
  }

  /** Another process may have made a key in our custody since we looked: it is lost only if it is not there now. */
  async #lookForLost(facts: RingFacts): Promise<void> {
    const isLost = facts.keys().some((key) => LOST[key.state] !== undefined && !facts.isHeld(key));
    if (isLost) await this.#options.ring.look();
  }

  /**
   * After another ring key took its place: relying parties that pin it alone go on with the keys that sign. Only for
   * those in custody: what a thief registered with the old ring key, the new one never vouches for.
   */
  async #vouchAnew(): Promise<void> {
    const { realm, ring, registry, ringSigner } = this.#options;
    const { publicKey } = registry().realms.get(realm)?.ring ?? {};
    // Before it is needed: without it nothing changes any more, and keys only grow old.
    const { privateKey } = ringSigner;
    this.#isRingTold = false;
    for (const key of ring.own()) {
      const isOurs = isPublished(key.state) || key.state === "generated";
      if (!publicKey || !isOurs || key.ring.publicKey.equals(publicKey)) continue;
      if (!ring.custodyOf(key.record)) continue;
      await this.#againWhileLost(async () => {
        await this.statements.key(vouchFor(key, privateKey));
        return false;
      });
    }
  }

  /** A drill key leaves every JWKS when its time is over. */
  async #retireDrills(): Promise<void> {
    for (const key of this.#options.ring.own()) {
      const isOver = key.record.custody === "drill" && this.#now() >= key.record.verifyUntil;
      const state = isOver ? DRILL_END[key.state] : undefined;
      if (state) await this.statements.state(key, state, "drill is over");
    }
  }

  /** The private half goes first: an entry that says destroyed must be true whenever somebody reads it. */
  async #destroyEnded(): Promise<void> {
    const { ring } = this.#options;
    for (const key of ring.own()) {
      const { state, record } = key;
      const isEnded = state === "retired" && this.#now() >= record.verifyUntil;
      const isOver = isEnded || state === "destroyed" || state === "revoked";
      if (isOver && ring.custodyOf(record)) await ring.destroy(record);
      if (isEnded) await this.statements.state(key, "destroyed", "life cycle");
    }
  }

  #now(): number {
    return nowSeconds(this.#options.clock);
  }
}

const IS_LOST = "custody does not hold it";
const IS_EARLY = "custody does not hold the key before it";
const USABLE: ReadonlySet<KeyState> = new Set(["generated", "prepublished", "active"]);

/** Where a key goes whose private half is gone, for instance after a restored backup: it must not block its ring. */
const LOST: Partial<Record<KeyState, KeyState>> = {
  generated: "destroyed",
  prepublished: "retired",
  active: "verify-only",
};

const DRILL_END: Partial<Record<KeyState, KeyState>> = {
  generated: "destroyed",
  prepublished: "retired",
};

const URGENCY: readonly KeyState[] = ["revoked", "verify-only", "active"];

function urgency({ state }: Step): number {
  const place = URGENCY.indexOf(state);
  return place < 0 ? URGENCY.length : place;
}
