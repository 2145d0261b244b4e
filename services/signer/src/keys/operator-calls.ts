import { nowSeconds, type Clock } from "@redoubt/base";
import { keyAge, type KeyInfo } from "@redoubt/registry";
import { route, SIGNER, type RingKeyStatus, type RingStatus, type Route } from "@redoubt/wire";
import type { KeyOrders } from "./key-orders.ts";
import type { KeySteps } from "./key-steps.ts";
import type { RingFacts } from "./ring-facts.ts";

export interface OperatorRoutesOptions {
  readonly orders: KeyOrders;
  readonly steps: Pick<KeySteps, "rings">;
  readonly clock: Clock;
}

/** P8: until presence is proven, an answer says that it was not. */
const presence = "none";

/** The manual key actions of docs/spec/wire.md §3; whoever wires them checks that the operator asks. */
export function operatorRoutes(options: OperatorRoutesOptions): readonly Route[] {
  const { orders, steps, clock } = options;
  return [
    route(SIGNER.rotate, async ({ class: tokenClass, reason, early }) => {
      return { ...(await orders.rotate(tokenClass, reason, early)), presence };
    }),
    route(SIGNER.taint, async ({ kid, reason, early }) => {
      return { kid, ...(await orders.taint(kid, reason, early)), presence };
    }),
    route(SIGNER.retain, async ({ kid, retain, reason }) => {
      return { kid, ...(await orders.retain(kid, retain, reason)), presence };
    }),
    route(SIGNER.rollback, async ({ kid, reason }) => {
      return { ...(await orders.rollback(kid, reason)), presence };
    }),
    route(SIGNER.rings, () => {
      return { rings: steps.rings.map((facts) => describeRing(facts, nowSeconds(clock))) };
    }),
  ];
}

/** What fits into one frame's head with room to spare. */
const MAX_KEYS = 200;

/** docs/spec/wire.md §3 `rings`: policy, age and next times of what this signer signs with. */
function describeRing(facts: RingFacts, atSeconds: number): RingStatus {
  const { policy } = facts;
  return {
    class: policy.class,
    alg: policy.alg,
    active: facts.active()?.kid ?? null,
    policy,
    keys: facts
      .keys()
      .slice(-MAX_KEYS)
      .map((key) => describeKey(key, facts, atSeconds)),
  };
}

function describeKey(key: KeyInfo, facts: RingFacts, atSeconds: number): RingKeyStatus {
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
    age: keyAge(key, facts.policy, atSeconds) ?? null,
    readyAt: facts.readyAt(key) ?? null,
  };
}
