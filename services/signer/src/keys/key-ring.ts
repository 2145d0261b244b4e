import { canonicalBytes, errorCode, errorLine, nowSeconds, type Clock } from "@redoubt/base";
import { type Custodian, type CustodyKey } from "@redoubt/custody";
import type { KeyInfo, Registry } from "@redoubt/registry";
import { isDrill, KeyError, signingEnd } from "@redoubt/keys";
import type { SignatureAlgorithm } from "@redoubt/keys";
import { tenantCovered, type KeyRecord } from "@redoubt/verify/record";
import type { RingPolicy } from "../config.ts";
import { isCustodyFailure } from "../custody/custody-health.ts";
import type { SignerEvents } from "../events.ts";

/** A key that may sign now: its record, and the use of its private half. */
export interface RingKey {
  readonly kid: string;
  readonly record: KeyRecord;
  readonly custody: CustodyKey;
  /** Of an access token: the same for each of them. */
  readonly encodedHeader: string;
}

export interface KeyRingOptions {
  readonly realm: string;
  readonly origin: string;
  /** For each class, the age at which its keys stop signing. */
  readonly policies: readonly Pick<RingPolicy, "class" | "expirySeconds">[];
  readonly registry: () => Registry;
  readonly custodian: Custodian;
  readonly clock: Clock;
  readonly events: SignerEvents;
  /** Called once for each key that custody holds and that must not be used, and again when the reason changes. */
  readonly onRefused?: (id: string, reason: string) => void;
}

interface ActiveKey {
  readonly key: RingKey;
  /** Seconds; nothing is signed from here on, with or without a successor. */
  readonly signUntil: number;
}

/** The keys of this signer: those that the registry says it has, joined with what custody holds. */
export class KeyRing {
  readonly #options: KeyRingOptions;
  /** By public key, which is what a record and custody have in common. */
  readonly #held = new Map<string, CustodyKey>();
  readonly #refused = new Map<string, string>();
  readonly #texts = new WeakMap<object, string>();
  #own: { registry: Registry; size: number; keys: readonly KeyInfo[] } | undefined;
  #active: readonly ActiveKey[] = [];

  constructor(options: KeyRingOptions) {
    this.#options = options;
  }

  /** Opens what custody holds and was not opened yet. */
  async open(): Promise<void> {
    await this.look();
    this.refresh();
  }

  /** As `open`, but the keys that sign stay the same. */
  async look(): Promise<void> {
    const { custodian, events } = this.#options;
    const opened = new Set([...this.#held.values()].map(({ id }) => id));
    for (const id of await custodian.list()) {
      if (opened.has(id)) continue;
      try {
        this.hold(await custodian.open(id));
        this.#refused.delete(id);
      } catch (error) {
        // One damaged key must not stop the others. But custody that is away says nothing about its keys, and the life
        // cycle would end them as lost: then this fails as a whole, and is tried again (THREAT-05).
        if (!(error instanceof KeyError) || isCustodyFailure(error)) throw error;
        events.keyUnreadable(id, errorCode(error));
        if (error.code === "ERR_KEY_REFUSED") this.refuse(id, errorLine(error));
      }
    }
  }

  /** Keys that custody holds and that must not be used, by id, with the reason. */
  get refused(): ReadonlyMap<string, string> {
    return this.#refused;
  }

  /** This key signs no more; the life cycle treats it as one that custody does not hold. */
  refuse(id: string, reason: string): void {
    for (const [text, key] of this.#held)
      if (key.id === id) {
        this.#held.delete(text);
        this.refresh();
      }
    if (this.#refused.get(id) === reason) return;
    this.#refused.set(id, reason);
    this.#options.onRefused?.(id, reason);
  }

  /** The key that signs for a tenant and class now (P2: no caller names one). */
  activeKey(tenant: string, tokenClass: string): RingKey | undefined {
    const now = nowSeconds(this.#options.clock);
    return this.#active.find(
      ({ key: { kid, record }, signUntil }) =>
        record.class === tokenClass &&
        this.maySign(kid) &&
        // THREAT-02: window and age limit are looked at for each token, whatever the last tick said.
        now >= record.signFrom &&
        now < signUntil &&
        tenantCovered(record.tenants, tenant),
    )?.key;
  }

  /**
   * Whether a key may sign what was committed for it. One that just handed over to its successor may: the token was
   * built within its time, and the entry is in the log. One that was tainted or revoked meanwhile may not.
   */
  maySign(kid: string): boolean {
    const state = this.#options.registry().keys.get(kid)?.state;
    return state === "active" || state === "verify-only";
  }

  /**
   * Whether access tokens are signed, where this signer makes any. A realm whose ID tokens have no key says so by its
   * keys' alarms: that nobody can sign in must not take services' tokens away, too.
   */
  get hasActive(): boolean {
    const { clock, policies } = this.#options;
    const now = nowSeconds(clock);
    const wanted = policies.some((policy) => policy.class === "at") ? "at" : "oidc";
    return this.#active.some(
      ({ key: { record }, signUntil }) =>
        record.class === wanted && now >= record.signFrom && now < signUntil,
    );
  }

  /** Finds the active keys anew, by what the registry says now. */
  refresh(): void {
    const known = new Map(this.#active.map(({ key }) => [key.kid, key]));
    this.#active = this.own().flatMap((info) => {
      if (info.state !== "active" || isDrill(info.record)) return [];
      const custody = this.custodyOf(info.record);
      if (!custody) return [];
      const key = known.get(info.kid) ?? ringKey(info, custody);
      return [{ key, signUntil: this.#signUntil(info) }];
    });
  }

  #signUntil(info: KeyInfo): number {
    const policy = this.#options.policies.find((one) => one.class === info.record.class);
    // A class that no policy names any more: its keys are not this signer's to use.
    return policy ? signingEnd(info, policy) : 0;
  }

  /** Every key of this realm whose tokens go into this signer's log, drill keys too. */
  own(): readonly KeyInfo[] {
    const { realm, origin } = this.#options;
    const registry = this.#options.registry();
    // This is asked many times for each step, and a registry changes only by growing: its size tells.
    if (this.#own?.registry === registry && this.#own.size === registry.size) return this.#own.keys;
    const keys = [...registry.keys.values()].filter(
      (key) => key.realm === realm && registry.isSameLine(key.record.log, origin),
    );
    this.#own = { registry, size: registry.size, keys };
    return keys;
  }

  /** Keys that sign, will, or did not long ago, and that custody holds. */
  kids(): readonly string[] {
    const states = ["prepublished", "active", "verify-only"];
    return this.own()
      .filter(({ state, record }) => states.includes(state) && this.custodyOf(record) !== undefined)
      .map(({ kid }) => kid);
  }

  hold(key: CustodyKey): void {
    this.#held.set(publicText(key.publicJwk), key);
  }

  custodyOf({ publicKey }: KeyRecord): CustodyKey | undefined {
    // Asked several times a second for keys that never change.
    const text = this.#texts.get(publicKey) ?? publicText(publicKey);
    this.#texts.set(publicKey, text);
    return this.#held.get(text);
  }

  /**
   * A key that custody holds and the registry does not know: made before a crash, or before an append whose answer
   * was lost. It is used for the next record. Never destroyed: the ledger could have kept its entry from us.
   */
  spare(alg: SignatureAlgorithm): CustodyKey | undefined {
    // Of every log: a public key that was ever registered cannot be again.
    const keys = [...this.#options.registry().keys.values()];
    const registered = new Set(keys.map(({ record }) => publicText(record.publicKey)));
    for (const [text, key] of this.#held) if (key.alg === alg && !registered.has(text)) return key;
    return undefined;
  }

  /** Ends the private half for good. */
  async destroy(record: KeyRecord): Promise<void> {
    const custody = this.custodyOf(record);
    if (!custody) return;
    await this.#options.custodian.destroy(custody.id);
    this.#held.delete(publicText(record.publicKey));
  }
}

function ringKey({ kid, record }: KeyInfo, custody: CustodyKey): RingKey {
  return { kid, record, custody, encodedHeader: encodeHeader(record.alg, kid, "at+jwt") };
}

/** The protected header of what a key signs. */
export function encodeHeader(alg: string, kid: string, typ: "at+jwt" | "JWT"): string {
  return canonicalBytes({ alg, kid, typ }).toString("base64url");
}

function publicText(jwk: object): string {
  return JSON.stringify(Object.entries(jwk).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
