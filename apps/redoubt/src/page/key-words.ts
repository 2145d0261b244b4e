import type { KeyState } from "@redoubt/keys";
import type { KeyView } from "../keys/key-list.ts";

/** A person compares the first characters; the whole one is what `redoubt keys list` shows. */
export function shortKid(kid: string): string {
  return kid.length > 10 ? `${kid.slice(0, 8)}…` : kid;
}

/** The registry's word, but for the one that says how rather than what for. */
export function stateText(state: KeyState): string {
  return state === "prepublished" ? "standby" : state;
}

/** The next time at which another key signs, or one ceases to. */
export function nextChange(keys: readonly KeyView[], now: number): KeyView | undefined {
  return keys
    .filter(({ next }) => next?.state === "active" || next?.state === "verify-only")
    .toSorted((a, b) => Math.max(now, a.next?.at ?? 0) - Math.max(now, b.next?.at ?? 0))[0];
}

/** How loud a key's state is. */
export function stateLevel(state: KeyState): "good" | "quiet" | "bad" {
  if (state === "active") return "good";
  return state === "tainted" || state === "revoked" ? "bad" : "quiet";
}
