import {
  ringGroup,
  type KeyInfo,
  type KeyState,
  type LifeCyclePolicy,
  type Registry,
} from "@redoubt/keys";

/** What the life cycle does next with a key, if nobody interferes. */
export interface NextStep {
  readonly state: KeyState;
  /** Seconds since the epoch; in the past where it is due now. */
  readonly at: number;
}

/** What of the registry decides about a key. */
export type KeyFold = Pick<Registry, "keys" | "hasActivated">;

/** The same rules as the signer's (`decideNextState`), solved for the time instead of asked at a time. */
export function nextStep(
  key: KeyInfo,
  fold: KeyFold,
  policy: LifeCyclePolicy,
): NextStep | undefined {
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

function activation(key: KeyInfo, fold: KeyFold, policy: LifeCyclePolicy): NextStep {
  const { record, stateAt } = key;
  const active = ringOf(key, fold).find(({ state }) => state === "active");
  // The first key of a ring cannot be unknown to a cache: there was no metadata before it.
  const waited = fold.hasActivated(record) ? stateAt + policy.prepublishSeconds : stateAt;
  const from = active ? endOfSigning(active, fold, policy) : waited;
  const at = Math.max(from, record.signFrom);
  return at < record.signUntil
    ? { state: "active", at }
    : { state: "retired", at: record.signUntil };
}

/** P6: age alone ends a key only when another can follow at once. */
function endOfSigning(key: KeyInfo, fold: KeyFold, policy: LifeCyclePolicy): number {
  const ready = ringOf(key, fold)
    .filter(({ state }) => state === "prepublished")
    .map(({ record, stateAt }) => ({
      at: Math.max(record.signFrom, stateAt + policy.prepublishSeconds),
      until: record.signUntil,
    }))
    .filter(({ at, until }) => at < until)
    .map(({ at }) => at);
  const due = Math.max(key.stateAt + policy.activeSeconds, Math.min(...ready));
  return Math.min(key.record.signUntil, due);
}

function ringOf(key: KeyInfo, { keys }: KeyFold): KeyInfo[] {
  const group = ringGroup(key.record);
  return [...keys.values()].filter(({ record }) => ringGroup(record) === group);
}
