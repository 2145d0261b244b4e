import type { KeyRecord } from "@redoubt/verify/record";
import { isDrill } from "./drill.ts";
import { signingEnd } from "./key-age.ts";
import { needsCustody, type KeyState } from "./life-cycle.ts";
import type { RotationPolicy } from "./rotation-policy.ts";

/** What of a registered key decides about its life. Times are in seconds since the epoch, here and below. */
export interface RingKey {
  readonly kid: string;
  readonly state: KeyState;
  readonly stateAt: number;
  /** When it was active for the first time. */
  readonly activatedAt?: number;
  /** Somebody said `key-retain`: automation must leave the key in every JWKS (THREAT-11). */
  readonly retainedBy?: string;
  readonly record: Pick<KeyRecord, "signFrom" | "signUntil" | "verifyUntil" | "custody">;
}

export type StepPolicy = Pick<
  RotationPolicy,
  "prepublishSeconds" | "activeSeconds" | "verifyOnlySeconds" | "expirySeconds" | "standby"
>;

/** Keys of which exactly one signs, and all that decides about their lives but the clock. */
export interface Ring<Key extends RingKey = RingKey> {
  /** In the order of the registry; ended ones too, because they tell what relying parties may know. */
  readonly keys: readonly Key[];
  /** Undefined where nobody in this deployment makes such keys: they get no step but the last ones. */
  readonly policy: StepPolicy | undefined;
  /** Whether custody has the private half. Only a signer knows; whoever does not know answers true. */
  readonly isHeld: (key: Key) => boolean;
}

/** P6: how soon a change reaches every verifier that can reach us. */
const EMERGENCY_REACH_SECONDS = 900;

/** The key that signs. */
export function activeOf<Key extends RingKey>({ keys }: Ring<Key>): Key | undefined {
  return keys.find(({ state }) => state === "active");
}

export interface Standby<Key extends RingKey> {
  readonly key: Key;
  /** From when on it may sign. */
  readonly readyAt: number;
}

/** Pre-published keys that may still come to sign, the one that is ready first at the front. */
export function standbys<Key extends RingKey>(ring: Ring<Key>, nowSeconds: number): Standby<Key>[] {
  const { keys, policy, isHeld } = ring;
  if (!policy) return [];
  const lead = leadSeconds(ring);
  return keys
    .filter((key) => key.state === "prepublished" && !isDrill(key.record) && isHeld(key))
    .map((key) => ({ key, readyAt: Math.max(key.record.signFrom, key.stateAt + lead) }))
    .filter(({ key, readyAt }) => Math.max(readyAt, nowSeconds) < key.record.signUntil)
    .toSorted((a, b) => a.readyAt - b.readyAt);
}

/** Keys that a roll-back would let sign at once, the youngest at the front. */
export function restorable<Key extends RingKey>(ring: Ring<Key>, nowSeconds: number): Key[] {
  const { keys, policy, isHeld } = ring;
  if (!policy) return [];
  // THREAT-02: a roll-back makes no key younger, and no window longer.
  return keys
    .filter((key) => key.state === "verify-only" && isHeld(key))
    .filter((key) => nowSeconds >= key.record.signFrom && nowSeconds < signingEnd(key, policy))
    .toSorted((a, b) => (b.activatedAt ?? 0) - (a.activatedAt ?? 0));
}

/** How long a key is published before automation lets it sign. */
export function leadSeconds<Key extends RingKey>(ring: Ring<Key>): number {
  // The first key of a ring cannot be unknown to a cache: there was no metadata before it.
  if (!ring.policy || !hasActivated(ring)) return 0;
  const { prepublishSeconds } = ring.policy;
  // Nothing signs now, so nobody gains by a longer wait.
  return isSignerLost(ring)
    ? Math.min(prepublishSeconds, EMERGENCY_REACH_SECONDS)
    : prepublishSeconds;
}

/** For how many seconds from now some relying party may not know this key, and refuse its tokens. 0 where all know it. */
export function unknownSeconds<Key extends RingKey>(
  { stateAt }: Key,
  ring: Ring<Key>,
  nowSeconds: number,
): number {
  if (!ring.policy || !hasActivated(ring)) return 0;
  return Math.max(0, stateAt + ring.policy.prepublishSeconds - nowSeconds);
}

/** Whether the ring has fewer keys that sign or may come to sign than its policy wants. */
export function isKeyWanted<Key extends RingKey>(
  { keys, policy, isHeld }: Ring<Key>,
  nowSeconds: number,
): boolean {
  if (!policy) return false;
  // P6: a key whose window is over is no standby, even where somebody retains it.
  const usable = keys.filter(
    (key) => needsCustody(key.state) && nowSeconds < key.record.signUntil && isHeld(key),
  );
  // One that signs, and the standbys that every verifier already knows.
  return usable.length < 1 + policy.standby;
}

/** The window of a key that is made now. */
export function newKeyWindow(
  policy: StepPolicy,
  nowSeconds: number,
): Pick<KeyRecord, "signFrom" | "signUntil" | "verifyUntil"> {
  // A standby waits until every one before it had its turn, and then signs up to the age limit.
  const waitSeconds = policy.prepublishSeconds + policy.standby * policy.activeSeconds;
  const signUntil = nowSeconds + waitSeconds + policy.expirySeconds;
  return { signFrom: nowSeconds, signUntil, verifyUntil: signUntil + policy.verifyOnlySeconds };
}

/** Caches may hold metadata of the ring from before a key was published. */
function hasActivated({ keys }: Pick<Ring, "keys">): boolean {
  return keys.some(({ activatedAt }) => activatedAt !== undefined);
}

/** Nothing signs, because custody does not have the key that did: it was replaced, say. A tainted key is not a lost one. */
function isSignerLost<Key extends RingKey>(ring: Ring<Key>): boolean {
  if (activeOf(ring)) return false;
  const [last] = ring.keys
    .filter(({ activatedAt }) => activatedAt !== undefined)
    .toSorted((a, b) => (b.activatedAt ?? 0) - (a.activatedAt ?? 0));
  if (!last || last.state === "tainted" || last.state === "revoked") return false;
  return last.state === "destroyed" || !ring.isHeld(last);
}
