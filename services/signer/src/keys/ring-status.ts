import { type KeyInfo, keyAge } from "@redoubt/registry";
import type { RingKeyStatus, RingStatus } from "@redoubt/wire";
import type { RingFacts } from "./ring-facts.ts";

/** What fits into one frame's head with room to spare. */
const MAX_KEYS = 200;

/** docs/spec/wire.md §3 `rings`: policy, age and next times of what this signer signs with. */
export function describeRing(facts: RingFacts, nowSeconds: number): RingStatus {
  const { policy } = facts;
  return {
    class: policy.class,
    alg: policy.alg,
    active: facts.active()?.kid ?? null,
    policy,
    keys: facts
      .keys()
      .slice(-MAX_KEYS)
      .map((key) => describeKey(key, facts, nowSeconds)),
  };
}

function describeKey(key: KeyInfo, facts: RingFacts, nowSeconds: number): RingKeyStatus {
  const { kid, state, stateAt, record, retainedBy, activatedAt } = key;
  return {
    kid,
    state,
    stateAt,
    signUntil: record.signUntil,
    verifyUntil: record.verifyUntil,
    retained: retainedBy ?? null,
    held: facts.isHeld(key),
    activatedAt: activatedAt ?? null,
    age: keyAge(key, facts.policy, nowSeconds) ?? null,
    readyAt: facts.readyAt(key) ?? null,
  };
}
