import { KeyError } from "./errors.ts";

/** ARCHITECTURE, "A key": each transition is a registry entry before it takes effect. */
export const KEY_STATES = [
  "generated",
  "prepublished",
  "active",
  "verify-only",
  "retired",
  "destroyed",
  "tainted",
  "revoked",
] as const;
export type KeyState = (typeof KEY_STATES)[number];

const NEXT: Readonly<Record<KeyState, readonly KeyState[]>> = {
  generated: ["prepublished", "destroyed", "tainted"],
  prepublished: ["active", "retired", "tainted"],
  active: ["verify-only", "tainted"],
  // Back to active: a roll-back. The registry takes it only within the record's window, and beside no other active key.
  "verify-only": ["active", "retired", "tainted"],
  retired: ["destroyed", "tainted"],
  destroyed: ["tainted"],
  tainted: ["revoked"],
  revoked: [],
};

/** States in which relying parties are told of the key. */
export function isPublished(state: KeyState): boolean {
  return state === "prepublished" || state === "active" || state === "verify-only";
}

/** States of a key that signs or is to sign: without its private half it is of no use. */
export function needsCustody(state: KeyState): boolean {
  return state === "generated" || state === "prepublished" || state === "active";
}

/** @throws KeyError `ERR_KEY_TRANSITION` for a step that the life cycle does not have */
export function checkTransition(from: KeyState, to: KeyState): void {
  if (!NEXT[from].includes(to))
    throw new KeyError("ERR_KEY_TRANSITION", `Key state: ${from} cannot become ${to}`);
}
