import { DELIVERY } from "../issued/batch.ts";
import { WINDOW_KINDS, type DeliveryStore, type WindowKind } from "./delivery-store.ts";

export interface Explained {
  readonly verdict: typeof DELIVERY.orphaned | typeof DELIVERY.unknown;
  /** Whether a person is told. */
  readonly isTold: boolean;
}

const LOUD: readonly WindowKind[] = ["stop", "forgotten"];

interface Gap {
  /** How many entries it may still explain. */
  remaining: number;
  /**
   * It explains entries that were read up to this active time; undefined until the logs were read after the gap
   * began.
   */
  until: number | undefined;
}

/** Requests that were in a signer when their issuer went away may still be logged for this long. */
const IN_FLIGHT_MS = 5000;
/** After this every entry of the gap has been decided. */
const FORGET_MS = 60_000;
const UNBOUNDED = Number.MAX_SAFE_INTEGER;
/** More than an issuer has asked its signer for at one time. */
const MAX_IN_FLIGHT = 1024;

/**
 * Gaps of issuers: tokens that were logged and that nobody can report any more. Only entries read before the end of a
 * gap are explained by it, or a signer that forges could wait for one (THREAT-28).
 */
export class Gaps {
  readonly #store: DeliveryStore;
  readonly #gaps = new Map<string, Map<WindowKind, Gap>>();

  constructor(store: DeliveryStore) {
    this.#store = store;
    // Each gap is open again: what the last process had read and not written is read once more.
    for (const { realm, kind, remaining } of store.windows())
      this.#of(realm).set(kind, { remaining, until: undefined });
  }

  /** An issuer came back without having said that it stops; `isResumed`: with all that it had received. */
  stopped(realm: string, isResumed: boolean): void {
    // Without what it had received, an issuer cannot say which tokens it got: `stop` explains whatever `resumed`
    // would.
    if (isResumed) this.#set(realm, "resumed", MAX_IN_FLIGHT);
    else this.#set(realm, "stop", UNBOUNDED);
  }

  /** An issuer asked for `count` tokens and never got them. */
  lost(realm: string, count: number): void {
    this.#add(realm, "lost", count);
  }

  /** An issuer got `count` tokens more than it could keep. */
  forgotten(realm: string, count: number): void {
    this.#add(realm, "forgotten", count);
  }

  #add(realm: string, kind: WindowKind, count: number): void {
    if (count === 0) return;
    const before = this.#of(realm).get(kind)?.remaining ?? 0;
    this.#set(realm, kind, Math.min(before + count, UNBOUNDED));
  }

  #set(realm: string, kind: WindowKind, remaining: number): void {
    this.#of(realm).set(kind, { remaining, until: undefined });
    this.#store.putWindow(realm, kind, remaining);
  }

  /** Every log was read to its end, after the gaps that are open now began. */
  close(now: number): void {
    for (const [realm, gaps] of this.#gaps)
      for (const [kind, gap] of gaps) {
        gap.until ??= now + IN_FLIGHT_MS;
        if (gap.until + FORGET_MS > now) continue;
        gaps.delete(kind);
        this.#store.dropWindow(realm, kind);
      }
  }

  /**
   * What a gap of the realm says of an entry that was read at this active time; that uses up one of its count. A gap
   * by which nobody can know who holds the token goes before one by which nobody holds it.
   */
  explains(realm: string, readAt: number): Explained | undefined {
    const gaps = this.#gaps.get(realm);
    if (!gaps) return undefined;
    const open = WINDOW_KINDS.filter((kind) => readAt <= (gaps.get(kind)?.until ?? Infinity));
    const kind = [...LOUD, ...WINDOW_KINDS].find(
      (one) => open.includes(one) && (gaps.get(one)?.remaining ?? 0) > 0,
    );
    if (kind) this.#use(realm, kind);
    else if (!open.includes("resumed") || !gaps.has("resumed")) return undefined;
    if (kind && LOUD.includes(kind)) return { verdict: DELIVERY.unknown, isTold: true };
    // Without a kind there are more than can have been in flight. Their issuer did not get them either, but a person
    // has to look.
    return { verdict: DELIVERY.orphaned, isTold: kind === undefined };
  }

  #use(realm: string, kind: WindowKind): void {
    const gap = this.#of(realm).get(kind);
    if (!gap || gap.remaining === UNBOUNDED) return;
    gap.remaining -= 1;
    this.#store.putWindow(realm, kind, gap.remaining);
  }

  #of(realm: string): Map<WindowKind, Gap> {
    const found = this.#gaps.get(realm) ?? new Map<WindowKind, Gap>();
    this.#gaps.set(realm, found);
    return found;
  }
}
