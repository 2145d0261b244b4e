import { errorCode, errorLine, nowSeconds, backOffMs } from "@redoubt/base";
import { type KeyInfo } from "@redoubt/registry";
import {
  activeOf,
  dueStep,
  isKeyWanted,
  isPublished,
  leadSeconds,
  needsCustody,
  standbys,
  unknownSeconds,
  vouchFor,
  type Ring,
} from "@redoubt/keys";
import type { RingPolicy } from "../config.ts";
import { makeKey, type KeyMakingOptions } from "./key-making.ts";
import { KeyStatements, type KeyStatementsOptions } from "./key-statements.ts";
import { KeyWatch, type KeyWatchOptions } from "./key-watch.ts";
import { nextSigningAt, SignerRing } from "./signer-ring.ts";

export interface KeyStepsOptions
  extends Omit<KeyMakingOptions, "statements">, KeyStatementsOptions, KeyWatchOptions {
  readonly policies: readonly RingPolicy[];
  /** Reads what the registry holds by now. */
  readonly refresh: () => Promise<void>;
  /** Replaced by tests that take a rule of the life cycle away, never by configuration. */
  readonly decide?: typeof dueStep<KeyInfo>;
}

/** Steps of one ring in one go. Three are enough as a rule: two new keys and the first activation. */
const MAX_STEPS = 8;
/** How often a compare-and-swap may be lost in one go, where others write all the time. The next tick goes on. */
const MAX_LOST_SWAPS = 32;
const BACK_OFF = { firstMs: 1000, maxMs: 30_000 } as const;

/**
 * Takes the steps of the life cycle that the clock asks for, one registry entry before each takes effect. Safe to
 * repeat after any crash: what is done and what is left is read from the registry and from custody.
 */
export class KeySteps {
  readonly statements: KeyStatements;
  readonly rings: readonly SignerRing[];
  readonly #options: KeyStepsOptions;
  /** Keys that only end: those of drills, whose private half is outside, and of a class that no policy names. */
  readonly #others: Ring<KeyInfo>;
  readonly #watch: KeyWatch;
  #last: Promise<unknown> = Promise.resolve();
  #failure: string | undefined;
  #isRingTold = false;
  #failures = 0;
  #notBeforeMs = -Infinity;

  constructor(options: KeyStepsOptions) {
    const { policies, ring } = options;
    this.#options = options;
    const rings = policies.map((policy) => new SignerRing(policy, ring));
    this.rings = rings;
    this.#others = {
      get keys() {
        return ring.own().filter((key) => !rings.some((one) => one.has(key)));
      },
      policy: undefined,
      isHeld: () => true,
    };
    this.statements = new KeyStatements(options);
    this.#watch = new KeyWatch(options);
  }

  /** Ticks unless a failed step still has its pause: a statement that stays void must not fill the registry. */
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
    for (const ring of this.rings) {
      // Each on its own: a full disk that stops the making of keys must not stop a takeover.
      await this.#attempt(() => this.#advance(ring));
      await this.#attempt(async () => {
        if (await this.#fill(ring)) await this.#advance(ring);
      });
    }
    await this.#attempt(() => this.#advance(this.#others));
    await this.#attempt(() => this.#destroyEnded());
    this.#failures = this.#failure === undefined ? 0 : this.#failures + 1;
    this.#notBeforeMs = this.#options.clock.monotonic() + backOffMs(this.#failures, BACK_OFF);
  }

  /**
   * One key signs in place of another, now. These are two entries; if this breaks off between them, the next step
   * activates a standby. To be called inside `inOrder`.
   *
   * @throws ServiceError `ERR_LEDGER_SIZE`, `ERR_SIGNER_REGISTRY_VOID`
   */
  async takeOver(ring: SignerRing, kid: string, reason: string): Promise<void> {
    try {
      await this.#againWhileLost(async () => {
        const successor = ring.keys.find((key) => key.kid === kid);
        if (!successor || successor.state === "active") return false;
        const active = activeOf(ring);
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
  async #fill(ring: SignerRing): Promise<boolean> {
    let isMade = false;
    await this.#againWhileLost(async () => {
      await this.#lookForLost(ring);
      if (!isKeyWanted(ring, this.#now())) return false;
      await makeKey({ ...this.#options, statements: this.statements }, ring.policy);
      isMade = true;
      return true;
    });
    return isMade;
  }

  /** Steps until the clock asks for none. */
  async #advance(ring: Ring<KeyInfo>): Promise<void> {
    const { decide = dueStep } = this.#options;
    await this.#againWhileLost(async () => {
      await this.#lookForLost(ring);
      const now = this.#now();
      const step = decide(ring, now);
      if (!step) return false;
      const { key, state } = step;
      const isLost = needsCustody(key.state) && !ring.isHeld(key);
      const early = state === "active" ? unknownSeconds(key, ring, now) : 0;
      // The private half goes first: an entry that says destroyed must be true whenever somebody reads it.
      if (state === "destroyed") await this.#options.ring.destroy(key.record);
      await this.statements.state(key, state, reasonOf(isLost, early));
      this.tellEarly(key, early);
      if (isLost && key.state === "active") this.#tellLost(key, ring);
      return true;
    });
  }

  /** P6: tells the monitor that a key signs before every verifier knows it, and for how long some may refuse. */
  tellEarly({ kid }: KeyInfo, seconds: number): void {
    if (seconds === 0) return;
    const price = `may refuse its tokens for up to ${Math.ceil(seconds / 60)} min`;
    const detail = `Key ${kid} signs early: relying parties with an older key set ${price}`;
    this.#options.alarm("key-activated-early", detail);
  }

  #tellRing(detail: string): void {
    if (!this.#isRingTold) this.#options.alarm("ring-key-missing", detail);
    this.#isRingTold = true;
  }

  #tellLost({ kid }: KeyInfo, ring: Ring<KeyInfo>): void {
    const now = this.#now();
    const [next] = standbys(ring, now);
    const isFollowed = next !== undefined && next.readyAt <= now;
    const then = isFollowed
      ? "its standby takes over"
      : `no standby is ready, and nothing is signed: a key signs ${Math.ceil(leadSeconds(ring) / 60)} min after it was published`;
    const detail = `Custody does not hold key ${kid}, which signed: ${then}`;
    this.#options.alarm("custody-lost-key", detail);
  }

  /** Why a ring signs nothing, for an operator; undefined where each has a key that does. */
  waiting(): string | undefined {
    const times = this.rings.flatMap((ring) => nextSigningAt(ring, this.#now()) ?? []);
    if (times.length === 0) return undefined;
    const at = new Date(Math.max(...times) * 1000).toISOString();
    return `No key signs before ${at}: see redoubt keys list`;
  }

  /** Another process may have made a key in our custody since we looked: it is lost only if it is not there now. */
  async #lookForLost(ring: Ring<KeyInfo>): Promise<void> {
    const isLost = ring.keys.some((key) => needsCustody(key.state) && !ring.isHeld(key));
    if (isLost) await this.#options.ring.look();
  }

  /**
   * After another ring key took the place of this realm's: the new one signs the records of the present keys, so that
   * relying parties that pin only the new one take them. It signs only for keys in custody, and so never for a key that
   * a thief registered with the old one.
   */
  async #vouchAnew(): Promise<void> {
    const { realm, ring, registry, ringSigner } = this.#options;
    const { publicKey } = registry().realms.get(realm)?.ring ?? {};
    // Opened at each step, needed or not: where it is missing, that is found out before a key must change.
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

  /** Of keys that were revoked, and what an earlier process left behind. */
  async #destroyEnded(): Promise<void> {
    const { ring } = this.#options;
    for (const { state, record } of ring.own())
      if (state === "destroyed" || state === "revoked") await ring.destroy(record);
  }

  #now(): number {
    return nowSeconds(this.#options.clock);
  }
}

/** The `reason` that stands in the registry. */
function reasonOf(isLost: boolean, earlySeconds: number): string {
  if (isLost) return "custody does not hold it";
  return earlySeconds > 0 ? "custody does not hold the key before it" : "life cycle";
}
