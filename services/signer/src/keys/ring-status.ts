import { activeOf, keyAge } from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import type { RingKeyStatus, RingStatus } from "@redoubt/wire";
import type { SignerRing } from "./signer-ring.ts";

const ENDED: ReadonlySet<string> = new Set(["destroyed", "revoked"]);

/** What fits into one frame's head with room to spare. */
const MAX_KEYS = 200;

/** docs/spec/wire.md §3 `rings`: policy and age of what this signer signs with. */
export function describeRing(ring: SignerRing, nowSeconds: number): RingStatus {
  const { policy } = ring;
  return {
    class: policy.class,
    alg: policy.alg,
    active: activeOf(ring)?.kid ?? null,
    policy,
    keys: ring.keys
      .filter(({ state }) => !ENDED.has(state))
      .slice(-MAX_KEYS)
      .map((key) => describeKey(key, ring, nowSeconds)),
  };
}

function describeKey(key: KeyInfo, ring: SignerRing, nowSeconds: number): RingKeyStatus {
  const { kid, state, stateAt, record, retainedBy, activatedAt } = key;
  return {
    kid,
    state,
    stateAt,
    signUntil: record.signUntil,
    verifyUntil: record.verifyUntil,
    retained: retainedBy ?? null,
    held: ring.isHeld(key),
    activatedAt: activatedAt ?? null,
    age: keyAge(key, ring.policy, nowSeconds) ?? null,
  };
}
