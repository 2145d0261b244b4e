import type { DeliveryStore, WindowKind } from "./delivery-store.ts";

interface Gap {
  /** How many entries it may still explain. */
  remaining: number;
  /** Active time up to which entries were read that it explains; undefined until the log was read after it. */
  until: number | undefined;
}

/** Requests that were in a signer when their issuer went away may still be logged for this long. */
const IN_FLIGHT_MS = 5000;
/** After this every entry of the gap has been decided. */
const FORGET_MS = 60_000;
const UNBOUNDED = Number.MAX_SAFE_INTEGER;

/**
 * Gaps of issuers: tokens that were logged and that nobody can report any more, after an unclean stop (`stop`) or a
 * broken connection (`lost`, with a count). Only entries read before the end of a gap are explained by it, or a
 * signer that forges could wait for one (THREAT-28).
 */
export class Gaps {
  readonly #store: DeliveryStore;
  readonly #gaps = new Map<string, Map<WindowKind, Gap>>();

  constructor(store: DeliveryStore) {
    this.#store = store;
    // Open again: what this process had read and not written is read once more after a restart.
    for (const { realm, kind, remaining } of store.windows())
      this.#of(realm).set(kind, { remaining, until: undefined });
  }

  /** An issuer came back without having said that it stops. */
  stopped(realm: string): void {
    this.#of(realm).set("stop", { remaining: UNBOUNDED, until: undefined });
    this.#store.putWindow(realm, "stop", UNBOUNDED);
  }

  /** An issuer asked for `count` tokens and does not know what became of them. */
  lost(realm: string, count: number): void {
    const before = this.#of(realm).get("lost")?.remaining ?? 0;
    const remaining = Math.min(before + count, UNBOUNDED);
    this.#of(realm).set("lost", { remaining, until: undefined });
    this.#store.putWindow(realm, "lost", remaining);
  }

  /** Every log was read after whatever happened before now. */
  close(now: number): void {
    for (const [realm, gaps] of this.#gaps)
      for (const [kind, gap] of gaps) {
        gap.until ??= now + IN_FLIGHT_MS;
        if (gap.until + FORGET_MS > now) continue;
        gaps.delete(kind);
        this.#store.dropWindow(realm, kind);
      }
  }

  /** Whether a gap of the realm explains an entry that was read at this active time; uses up its count. */
  explains(realm: string, readAt: number): boolean {
    const gaps = this.#gaps.get(realm);
    if (!gaps) return false;
    for (const kind of ["stop", "lost"] as const) {
      const gap = gaps.get(kind);
      if (!gap || gap.remaining === 0 || readAt > (gap.until ?? Infinity)) continue;
      if (kind === "stop") return true;
      gap.remaining -= 1;
      this.#store.putWindow(realm, kind, gap.remaining);
      return true;
    }
    return false;
  }

  #of(realm: string): Map<WindowKind, Gap> {
    const found = this.#gaps.get(realm) ?? new Map<WindowKind, Gap>();
    this.#gaps.set(realm, found);
    return found;
  }
}
