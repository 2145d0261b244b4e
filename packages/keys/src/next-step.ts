import { isDrill } from "./drill.ts";
import { signingEnd } from "./key-age.ts";
import type { KeyState } from "./life-cycle.ts";
import { activeOf, standbys, type Ring, type RingKey, type StepPolicy } from "./ring.ts";

/** What the life cycle does next with a key, if nobody interferes. */
export interface NextStep {
  readonly state: KeyState;
  /** Seconds since the epoch from which it is due. */
  readonly at: number;
}

export interface DueStep<Key extends RingKey> extends NextStep {
  readonly key: Key;
}

/** What ends a key's signing comes first, so that its successor can follow; what is gone for good comes last. */
const ORDER: readonly KeyState[] = [
  "revoked",
  "verify-only",
  "active",
  "prepublished",
  "retired",
  "destroyed",
];

/** The step to take now, if any; asked again after each. So after any pause the same steps are taken, none skipped. */
export function dueStep<Key extends RingKey>(
  ring: Ring<Key>,
  nowSeconds: number,
): DueStep<Key> | undefined {
  const due = ring.keys.flatMap((key) => {
    const step = nextStep(key, ring, nowSeconds);
    return step && step.at <= nowSeconds ? [{ ...step, key }] : [];
  });
  return due.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))[0];
}

/**
 * The next step of one key of a ring, as far as it can be foretold: signer, `status` and `keys` all ask here. `now`
 * only decides which windows are over.
 */
export function nextStep<Key extends RingKey>(
  key: Key,
  ring: Ring<Key>,
  nowSeconds: number,
): NextStep | undefined {
  switch (key.state) {
    case "tainted":
      return { state: "revoked", at: atOnce(key, nowSeconds) };
    case "retired":
      return { state: "destroyed", at: key.record.verifyUntil };
    case "destroyed":
    case "revoked":
      return undefined;
    case "generated":
    case "prepublished":
    case "active":
    case "verify-only":
      if (isDrill(key.record)) return endUnused(key, key.record.verifyUntil);
      if (!ring.policy) return undefined;
      return ring.isHeld(key)
        ? stepOfUse(key, ring, ring.policy, nowSeconds)
        : stepOfLost(key, ring.policy, nowSeconds);
  }
}

/** Of a key that custody has. */
function stepOfUse<Key extends RingKey>(
  key: Key,
  ring: Ring<Key>,
  policy: StepPolicy,
  nowSeconds: number,
): NextStep | undefined {
  const { state, record } = key;
  if (state === "verify-only") return withdrawal(key, policy);
  if (state === "generated" && nowSeconds < record.signUntil)
    return { state: "prepublished", at: atOnce(key, nowSeconds) };
  const successor = successorOf(ring, policy, nowSeconds);
  if (state === "active")
    // P6: age alone ends a key only when another can follow at once; its limit ends it whatever follows.
    return {
      state: "verify-only",
      at: Math.min(signingEnd(key, policy), successor?.at ?? Infinity),
    };
  // Of several standbys one is next; when the others follow hangs on its life.
  return successor?.key.kid === key.kid
    ? { state: "active", at: successor.at }
    : endUnused(key, record.signUntil);
}

/** Of a key whose private half is gone, for instance after a restored backup: it must not block its ring. */
function stepOfLost(key: RingKey, policy: StepPolicy, nowSeconds: number): NextStep | undefined {
  if (key.state === "verify-only") return withdrawal(key, policy);
  const at = atOnce(key, nowSeconds);
  return key.state === "active" ? { state: "verify-only", at } : endUnused(key, at);
}

/** Whatever the clock says that the key came into its state by: one that was set back must not put it off. */
function atOnce({ stateAt }: RingKey, nowSeconds: number): number {
  return Math.min(stateAt, nowSeconds);
}

/** Of a key that never came to sign, or is not to. */
function endUnused({ state, retainedBy }: RingKey, at: number): NextStep | undefined {
  if (state === "generated") return { state: "destroyed", at };
  // THREAT-11: nothing automatic takes a retained key out of a JWKS; it leaves with its record, without an entry.
  return state === "prepublished" && retainedBy === undefined
    ? { state: "retired", at }
    : undefined;
}

/** A key stays published until its last token has ended. */
function withdrawal(
  { stateAt, record, retainedBy }: RingKey,
  { verifyOnlySeconds }: StepPolicy,
): NextStep | undefined {
  // THREAT-11, as above.
  if (retainedBy !== undefined) return undefined;
  return { state: "retired", at: Math.min(record.verifyUntil, stateAt + verifyOnlySeconds) };
}

interface Successor {
  readonly key: RingKey;
  readonly at: number;
}

/** The standby that signs next, and from when on: not before the key that signs now had its time. */
function successorOf<Key extends RingKey>(
  ring: Ring<Key>,
  policy: StepPolicy,
  nowSeconds: number,
): Successor | undefined {
  const active = activeOf(ring);
  const freeAt = active
    ? Math.min(active.stateAt + policy.activeSeconds, signingEnd(active, policy))
    : -Infinity;
  const [first] = standbys(ring, nowSeconds)
    .map(({ key, readyAt }) => ({ key, at: Math.max(freeAt, readyAt) }))
    .filter(({ key, at }) => at < key.record.signUntil)
    .toSorted((a, b) => a.at - b.at);
  return first;
}
