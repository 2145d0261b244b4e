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
  // Back to active: one roll-back within the record's window; the registry refuses a second active key.
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

/** @throws KeyError `ERR_KEY_TRANSITION` for a step that the life cycle does not have */
export function checkTransition(from: KeyState, to: KeyState): void {
  if (!NEXT[from].includes(to))
    throw new KeyError("ERR_KEY_TRANSITION", `Key state: ${from} cannot become ${to}`);
}

/** P6: how soon a change reaches every verifier that can reach us. */
const EMERGENCY_REACH_SECONDS = 900;

/** What the clock and the policy say about one key. All times in seconds since the epoch. */
export interface LifeCycleInput {
  readonly state: KeyState;
  readonly stateAt: number;
  readonly signFrom: number;
  /** The end of the record's window, or the age at which the policy stops the key: see `signingEnd`. */
  readonly signUntil: number;
  readonly verifyUntil: number;
  /** The ring has never had an active key, so that nobody can hold metadata without this one. */
  readonly isFirstOfRing: boolean;
  /** Nothing of the ring signs because custody has not the key that did: waiting spares nobody a refusal. */
  readonly isSignerLost?: boolean;
  /** The ring's active key still signs. */
  readonly ringHasActive: boolean;
  /** A pre-published key of the ring has waited long enough to take over. */
  readonly successorReady: boolean;
  /** Somebody said `key-retain`: automation must leave the key in every JWKS (THREAT-11). */
  readonly isRetained?: boolean;
}

export interface LifeCyclePolicy {
  /** max(2 × longest metadata cache, 2 h): how long a key is published before it may sign. */
  readonly prepublishSeconds: number;
  /** How long one key signs; without a ready successor it signs on until its record's `signUntil`. */
  readonly activeSeconds: number;
  /** Longest token lifetime plus skew: how long it is published after it signed last. */
  readonly verifyOnlySeconds: number;
}

/**
 * The next state that the clock asks for, or undefined. Pure: it never looks at a clock and never skips a state,
 * so that after any pause the same steps are taken, one registry entry each.
 */
export function decideNextState(
  key: LifeCycleInput,
  policy: LifeCyclePolicy,
  nowSeconds: number,
): KeyState | undefined {
  switch (key.state) {
    case "generated":
      return nowSeconds < key.signUntil ? "prepublished" : "destroyed";
    case "prepublished":
      return decideActivation(key, policy, nowSeconds);
    case "active":
      return decideEndOfActive(key, policy, nowSeconds);
    case "verify-only": {
      const end = Math.min(key.verifyUntil, key.stateAt + policy.verifyOnlySeconds);
      return nowSeconds >= end && key.isRetained !== true ? "retired" : undefined;
    }
    case "tainted":
      return "revoked";
    case "retired":
    case "destroyed":
    case "revoked":
      return undefined;
  }
}

// P6: rotation must not cause an outage, so age alone ends a key only when another can follow at once.
function decideEndOfActive(
  key: LifeCycleInput,
  { activeSeconds }: LifeCyclePolicy,
  nowSeconds: number,
): KeyState | undefined {
  if (nowSeconds >= key.signUntil) return "verify-only";
  const isDue = nowSeconds >= key.stateAt + activeSeconds;
  return isDue && key.successorReady ? "verify-only" : undefined;
}

/** Whether a pre-published key may sign as soon as the ring has no active key. */
export function isReadyToSign(
  key: Pick<LifeCycleInput, "state" | "stateAt" | "signFrom" | "signUntil">,
  { prepublishSeconds }: LifeCyclePolicy,
  nowSeconds: number,
): boolean {
  return (
    key.state === "prepublished" &&
    nowSeconds >= key.signFrom &&
    nowSeconds < key.signUntil &&
    nowSeconds >= key.stateAt + prepublishSeconds
  );
}

function decideActivation(
  key: LifeCycleInput,
  { prepublishSeconds }: LifeCyclePolicy,
  nowSeconds: number,
): KeyState | undefined {
  if (nowSeconds >= key.signUntil) return key.isRetained === true ? undefined : "retired";
  if (key.ringHasActive || nowSeconds < key.signFrom) return undefined;
  return nowSeconds >= key.stateAt + publishedFor(key, prepublishSeconds) ? "active" : undefined;
}

/** How long a key is published before it signs by itself. */
export function publishedFor(
  { isFirstOfRing, isSignerLost = false }: Pick<LifeCycleInput, "isFirstOfRing" | "isSignerLost">,
  prepublishSeconds: number,
): number {
  // The first key of a ring cannot be unknown to a cache: there was no metadata before it.
  if (isFirstOfRing) return 0;
  return isSignerLost ? Math.min(prepublishSeconds, EMERGENCY_REACH_SECONDS) : prepublishSeconds;
}
