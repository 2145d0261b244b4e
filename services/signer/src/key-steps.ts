import { errorCode, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import {
  decideNextState,
  isReadyToSign,
  signKeyRecord,
  signStatement,
  type Custodian,
  type CustodyKey,
  type KeyInfo,
  type KeyState,
  type RealmInfo,
  type Registry,
  type SignedStatement,
  type StatementBody,
  type StatementSigner,
} from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { RingPolicy } from "./config.ts";
import type { SignerEvents } from "./events.ts";
import type { KeyRing } from "./key-ring.ts";

export interface KeyStepsOptions {
  readonly realm: string;
  readonly log: string;
  readonly policies: readonly RingPolicy[];
  readonly ring: KeyRing;
  readonly registry: () => Registry;
  readonly custodian: Custodian;
  readonly ringSigner: StatementSigner;
  readonly clock: Clock;
  readonly events: SignerEvents;
  /** Appends to the registry; `ifSize` makes it a compare-and-swap. Resolves when the fold holds it. */
  readonly append: (statement: SignedStatement, ifSize?: number) => Promise<void>;
}

interface Step {
  readonly state: KeyState;
  readonly reason: string;
}

/** One that signs, and one standby that every verifier already knows. */
const KEYS_OF_A_RING = 2;
/** In one tick of one ring: two new keys and the first activation are three. */
const MAX_STEPS = 8;
const MAX_BACKOFF_MS = 30_000;

/**
 * Takes the steps of the life cycle that the clock asks for, one registry entry before each takes effect. Safe to
 * repeat after any crash: what is done and what is left is read from the registry and from custody.
 */
export class KeySteps {
  readonly #options: KeyStepsOptions;
  #failure: string | undefined;
  #backoffMs = 0;
  #notBeforeMs = -Infinity;

  constructor(options: KeyStepsOptions) {
    this.#options = options;
  }

  /** Not before what failed has had its pause: a statement that stays void must not fill the registry. */
  async tickWhenDue(): Promise<void> {
    if (this.#options.clock.monotonic() >= this.#notBeforeMs) await this.tick();
  }

  async tick(): Promise<void> {
    this.#failure = undefined;
    for (const policy of this.#options.policies) {
      // Each on its own: a full disk that stops the making of keys must not stop a takeover.
      await this.#attempt(() => this.#advance(policy));
      await this.#attempt(async () => {
        if (await this.#fill(policy)) await this.#advance(policy);
      });
    }
    await this.#attempt(() => this.#retireDrills());
    await this.#attempt(() => this.#destroyEnded());
    this.#backoffMs = this.#failure === undefined ? 0 : Math.max(1000, 2 * this.#backoffMs);
    this.#backoffMs = Math.min(this.#backoffMs, MAX_BACKOFF_MS);
    this.#notBeforeMs = this.#options.clock.monotonic() + this.#backoffMs;
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
    } finally {
      // Only now: between the two entries of a takeover the old key signs on, so that nobody is refused.
      this.#options.ring.refresh();
    }
  }

  /** Whether a key was made. */
  async #fill(policy: RingPolicy): Promise<boolean> {
    const usable = this.#ofRing(policy).filter(
      ({ state, record }) =>
        ["generated", "prepublished", "active"].includes(state) &&
        this.#options.ring.custodyOf(record) !== undefined,
    );
    for (let count = usable.length; count < KEYS_OF_A_RING; count += 1) await this.#make(policy);
    return usable.length < KEYS_OF_A_RING;
  }

  async #make(policy: RingPolicy): Promise<void> {
    const { custodian, ring, ringSigner, realm, events } = this.#options;
    const key = ring.spare(policy.alg) ?? (await custodian.generate(policy.alg));
    ring.hold(key);
    const signed = signKeyRecord(this.#recordFields(policy, key), ringSigner.privateKey);
    const { kid } = signed.record;
    const record = encodeBase64url(signed.recordBytes);
    await this.#append({
      type: "key",
      realm,
      kid,
      record,
      ring: encodeBase64url(signed.ringSignature),
    });
    if (!this.#options.registry().keys.has(kid)) throw voidStatement();
    events.keyMade(kid, policy.alg, custodian.label);
  }

  #recordFields(policy: RingPolicy, key: CustodyKey) {
    const { realm, log, custodian } = this.#options;
    const { issuer, tenantRule } = this.#realmInfo();
    const now = this.#now();
    // A standby waits for one active life and then signs for one.
    const signUntil = now + policy.prepublishSeconds + 2 * policy.activeSeconds;
    return {
      alg: policy.alg,
      publicKey: key.publicJwk,
      realm,
      issuer,
      tenants:
        "fixed" in tenantRule
          ? { ids: [tenantRule.fixed] }
          : { bucket: 0, of: 1, except: [...new Set(tenantRule.except)].toSorted() },
      class: policy.class,
      audiences: "any",
      maxLifetimeSeconds: policy.maxLifetimeSeconds,
      signFrom: now,
      signUntil,
      verifyUntil: signUntil + policy.verifyOnlySeconds,
      custody: custodian.label,
      issuanceFloor: "audit",
      log,
    };
  }

  /** Steps until the clock asks for none: what ends a key's signing first, so that its successor can follow. */
  async #advance(policy: RingPolicy): Promise<void> {
    for (let count = 0; count < MAX_STEPS; count += 1) {
      const steps = this.#ofRing(policy).flatMap((key) => {
        const step = this.#nextStep(key, policy);
        return step ? [{ key, step }] : [];
      });
      const [next] = steps.toSorted((a, b) => urgency(a.step) - urgency(b.step));
      if (!next) return;
      await this.#take(next.key, next.step);
    }
  }

  #nextStep(key: KeyInfo, policy: RingPolicy): Step | undefined {
    const isLost = this.#options.ring.custodyOf(key.record) === undefined;
    const lost = isLost ? LOST[key.state] : undefined;
    if (lost) return { state: lost, reason: "custody does not hold it" };
    const state = decideNextState(this.#lifeCycleInput(key, policy), policy, this.#now());
    return state && { state, reason: "life cycle" };
  }

  #lifeCycleInput(key: KeyInfo, policy: RingPolicy) {
    const { registry, ring } = this.#options;
    const keys = this.#ofRing(policy);
    return {
      ...key.record,
      state: key.state,
      stateAt: key.stateAt,
      isFirstOfRing: !registry().hasActivated(key.record),
      ringHasActive: keys.some(({ state }) => state === "active"),
      successorReady: keys.some(
        (other) =>
          ring.custodyOf(other.record) !== undefined &&
          isReadyToSign({ ...other.record, ...other }, policy, this.#now()),
      ),
    };
  }

  /** A drill key leaves every JWKS when its time is over. */
  async #retireDrills(): Promise<void> {
    for (const key of this.#options.ring.own()) {
      const isOver = key.record.custody === "drill" && this.#now() >= key.record.verifyUntil;
      const state = isOver ? DRILL_END[key.state] : undefined;
      if (state) await this.#take(key, { state, reason: "drill is over" });
    }
  }

  /** The private half goes first: an entry that says destroyed must be true whenever somebody reads it. */
  async #destroyEnded(): Promise<void> {
    const { ring } = this.#options;
    for (const key of ring.own()) {
      const { state, record } = key;
      const isEnded = state === "retired" && this.#now() >= record.verifyUntil;
      if (isEnded || state === "destroyed" || state === "revoked") await ring.destroy(record);
      if (isEnded) await this.#take(key, { state: "destroyed", reason: "life cycle" });
    }
  }

  async #take({ kid, state: from }: KeyInfo, { state, reason }: Step): Promise<void> {
    const { realm, registry, events } = this.#options;
    // Activation is a compare-and-swap, so that two signers of a realm never activate two keys.
    const ifSize = state === "active" ? registry().size : undefined;
    await this.#append({ type: "key-state", realm, kid, state, reason }, ifSize);
    if (registry().keys.get(kid)?.state !== state) throw voidStatement();
    events.keyState(kid, from, state, reason);
  }

  async #append(body: StatementBody, ifSize?: number): Promise<void> {
    const { ringSigner, append } = this.#options;
    await append(signStatement(body, ringSigner, this.#now()), ifSize);
  }

  #ofRing(policy: RingPolicy): KeyInfo[] {
    return this.#options.ring
      .own()
      .filter(({ record }) => record.class === policy.class && record.custody !== "drill");
  }

  #realmInfo(): RealmInfo {
    const { registry, realm } = this.#options;
    const info = registry().realms.get(realm);
    if (!info) throw new ServiceError("ERR_SIGNER_REALM", `Realm ${realm} is not registered`);
    return info;
  }

  #now(): number {
    return nowSeconds(this.#options.clock);
  }
}

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

function voidStatement(): ServiceError {
  return new ServiceError("ERR_SIGNER_REGISTRY_VOID", "Registry did not take the statement");
}
