import { type KeyInfo, type Registry, signingEnd } from "@redoubt/registry";
import { type KeyState, type LifeCyclePolicy, type RotationPolicy } from "@redoubt/keys";

/** What the life cycle does next with a key, if nobody interferes. */
export interface NextStep {
  readonly state: KeyState;
  /** Seconds since the epoch; in the past where it is due now. */
  readonly at: number;
}

/** What of the registry decides about a key. */
export type KeyFold = Pick<Registry, "keys" | "hasActivated" | "ringOf">;
/** What of a ring's policy does. */
export type StepPolicy = LifeCyclePolicy & Pick<RotationPolicy, "expirySeconds">;

/** The same rules as the signer's (`decideNextState`), solved for the time instead of asked at a time. */
export function nextStep(key: KeyInfo, fold: KeyFold, policy: StepPolicy): NextStep | undefined {
  const { state, stateAt, record } = key;
  switch (state) {
    case "generated":
      return { state: "prepublished", at: stateAt };
    case "prepublished":
      return record.custody === "drill"
        ? { state: "retired", at: record.signUntil }
        : activation(key, fold, policy);
    case "active":
      return { state: "verify-only", at: endOfSigning(key, fold, policy) };
    case "verify-only":
      // THREAT-11: nothing automatic withdraws it; it leaves with its record, without an entry.
      if (key.retainedBy !== undefined) return undefined;
      return {
        state: "retired",
        at: Math.min(record.verifyUntil, stateAt + policy.verifyOnlySeconds),
      };
    case "retired":
      return { state: "destroyed", at: Math.max(stateAt, record.verifyUntil) };
    case "tainted":
      return { state: "revoked", at: stateAt };
    case "destroyed":
    case "revoked":
      return undefined;
  }
}

/** When a pre-published key may take over, if it is time for one. */
export function readyAt({ stateAt, record }: KeyInfo, policy: LifeCyclePolicy): number {
  return Math.max(record.signFrom, stateAt + policy.prepublishSeconds);
}

/** The pre-published keys of the ring, the one that is ready first at the front. */
export function standbysOf(key: KeyInfo, fold: KeyFold, policy: LifeCyclePolicy): KeyInfo[] {
  return ringOf(key, fold)
    .filter((other) => other.kid !== key.kid && other.state === "prepublished")
    .filter((other) => readyAt(other, policy) < other.record.signUntil)
    .toSorted((a, b) => readyAt(a, policy) - readyAt(b, policy));
}

/** Keys of the ring that a roll-back would let sign at once, the youngest at the front. */
export function replacedOf(
  key: KeyInfo,
  fold: KeyFold,
  policy: StepPolicy,
  nowSeconds: number,
): KeyInfo[] {
  return ringOf(key, fold)
    .filter((other) => other.kid !== key.kid && other.state === "verify-only")
    .filter((other) => nowSeconds < signingEnd(other, policy))
    .toSorted((a, b) => (b.activatedAt ?? 0) - (a.activatedAt ?? 0));
}

/** The key of the same ring that signs. */
export function activeOf(key: KeyInfo, fold: KeyFold): KeyInfo | undefined {
  return ringOf(key, fold).find(({ state }) => state === "active");
}

function activation(key: KeyInfo, fold: KeyFold, policy: StepPolicy): NextStep | undefined {
  const { record, stateAt } = key;
  const active = activeOf(key, fold);
  // The first key of a ring cannot be unknown to a cache: there was no metadata before it.
  const waited = fold.hasActivated(record) ? stateAt + policy.prepublishSeconds : stateAt;
  // Of several standbys one is next; when the others follow hangs on its life.
  if (active && standbysOf(active, fold, policy)[0]?.kid !== key.kid) return expiry(key);
  const from = active ? Math.max(waited, endOfSigning(active, fold, policy)) : waited;
  const at = Math.max(from, record.signFrom);
  return at < record.signUntil ? { state: "active", at } : expiry(key);
}

/** A key whose window passes before it is needed. */
function expiry({ record, retainedBy }: KeyInfo): NextStep | undefined {
  return retainedBy === undefined ? { state: "retired", at: record.signUntil } : undefined;
}

/** P6: age alone ends a key only when another can follow at once; its limit ends it whatever follows. */
function endOfSigning(key: KeyInfo, fold: KeyFold, policy: StepPolicy): number {
  const [first] = standbysOf(key, fold, policy);
  const ready = first ? readyAt(first, policy) : Infinity;
  return Math.min(signingEnd(key, policy), Math.max(key.stateAt + policy.activeSeconds, ready));
}

function ringOf(key: KeyInfo, fold: KeyFold): KeyInfo[] {
  const ring = fold.ringOf(key.record);
  return [...fold.keys.values()].filter(({ record }) => fold.ringOf(record) === ring);
}
