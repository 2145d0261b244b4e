import { errorCode, nowSeconds, type Clock } from "@redoubt/base";
import {
  KeyError,
  type Custodian,
  type CustodyKey,
  type KeyInfo,
  type Registry,
} from "@redoubt/keys";
import type { SignatureAlgorithm } from "@redoubt/keys";
import { tenantCovered, type KeyRecord } from "@redoubt/verify/record";
import type { SignerEvents } from "./events.ts";
import { encodeHeader } from "./token.ts";

/** A key that may sign now: its record, and the use of its private half. */
export interface RingKey {
  readonly kid: string;
  readonly record: KeyRecord;
  readonly custody: CustodyKey;
  readonly encodedHeader: string;
}

export interface KeyRingOptions {
  readonly realm: string;
  readonly log: string;
  readonly registry: () => Registry;
  readonly custodian: Custodian;
  readonly clock: Clock;
  readonly events: SignerEvents;
}

/** The keys of this signer: those that the registry says it has, joined with what custody holds. */
export class KeyRing {
  readonly #options: KeyRingOptions;
  /** By public key, which is what a record and custody have in common. */
  readonly #held = new Map<string, CustodyKey>();
  #active: readonly RingKey[] = [];

  constructor(options: KeyRingOptions) {
    this.#options = options;
  }

  /** Opens what custody holds. */
  async open(): Promise<void> {
    const { custodian, events } = this.#options;
    for (const id of await custodian.list()) {
      try {
        this.hold(await custodian.open(id));
      } catch (error) {
        // One damaged key must not take the others with it; custody that is away is tried again as a whole.
        if (!(error instanceof KeyError)) throw error;
        events.keyUnreadable(id, errorCode(error));
      }
    }
    this.refresh();
  }

  /** The key that signs for a tenant and class now (P2: no caller names one). */
  activeKey(tenant: string, tokenClass: string): RingKey | undefined {
    const now = nowSeconds(this.#options.clock);
    return this.#active.find(
      ({ kid, record }) =>
        record.class === tokenClass &&
        this.maySign(kid) &&
        // THREAT-02: the record's window is looked at for each token, whatever the last tick said.
        now >= record.signFrom &&
        now < record.signUntil &&
        tenantCovered(record.tenants, tenant),
    );
  }

  /**
   * Whether a key may sign what was committed for it. One that just handed over to its successor may: the token was
   * built within its time, and the entry is in the log. One that was tainted or revoked meanwhile may not.
   */
  maySign(kid: string): boolean {
    const state = this.#options.registry().keys.get(kid)?.state;
    return state === "active" || state === "verify-only";
  }

  get hasActive(): boolean {
    const now = nowSeconds(this.#options.clock);
    return this.#active.some(({ record }) => now >= record.signFrom && now < record.signUntil);
  }

  /** Takes over what the registry says now. */
  refresh(): void {
    const known = new Map(this.#active.map((key) => [key.kid, key]));
    this.#active = this.own().flatMap((info) => {
      const custody = this.custodyOf(info.record);
      // P1: the private half of a drill key is outside; nothing here signs under its record.
      if (info.state !== "active" || !custody || info.record.custody === "drill") return [];
      return [known.get(info.kid) ?? ringKey(info, custody)];
    });
  }

  /** Every key of this realm whose tokens go into this signer's log, drill keys too. */
  own(): KeyInfo[] {
    const { registry, realm, log } = this.#options;
    return [...registry().keys.values()].filter(
      (key) => key.realm === realm && key.record.log === log,
    );
  }

  hold(key: CustodyKey): void {
    this.#held.set(publicText(key.publicJwk), key);
  }

  custodyOf(record: KeyRecord): CustodyKey | undefined {
    return this.#held.get(publicText(record.publicKey));
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
  return { kid, record, custody, encodedHeader: encodeHeader(record.alg, kid) };
}

function publicText(jwk: object): string {
  return JSON.stringify(Object.entries(jwk).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
