import { nowSeconds, type Clock } from "@redoubt/base";
import { activeOf, keyAge } from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import { route, SIGNER, type RingKeyStatus, type RingStatus, type Route } from "@redoubt/wire";
import type { BodyOpener } from "../issue/body-opener.ts";
import type { KeyOrders } from "./key-orders.ts";
import type { KeySteps } from "./key-steps.ts";
import type { SignerRing } from "./signer-ring.ts";

export interface OperatorRoutesOptions {
  readonly orders: KeyOrders;
  readonly steps: Pick<KeySteps, "rings">;
  readonly clock: Clock;
  readonly opener: Pick<BodyOpener, "open">;
}

/** P8: until presence is proven, an answer says that it was not. */
const presence = "none";

/** The manual actions of docs/spec/wire.md §3; whoever wires them checks that the operator asks. */
export function operatorRoutes(options: OperatorRoutesOptions): readonly Route[] {
  const { orders, steps, clock, opener } = options;
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
    route(SIGNER.openBody, (request, { attachment }) => opener.open(request, attachment)),
    route(SIGNER.rings, () => {
      return { rings: steps.rings.map((ring) => describeRing(ring, nowSeconds(clock))) };
    }),
  ];
}

const ENDED: ReadonlySet<string> = new Set(["destroyed", "revoked"]);

/** What fits into one frame's head with room to spare. */
const MAX_KEYS = 200;

/** docs/spec/wire.md §3 `rings`: policy and age of what this signer signs with. */
function describeRing(ring: SignerRing, atSeconds: number): RingStatus {
  const { policy } = ring;
  return {
    class: policy.class,
    alg: policy.alg,
    active: activeOf(ring)?.kid ?? null,
    policy,
    keys: ring.keys
      .filter(({ state }) => !ENDED.has(state))
      .slice(-MAX_KEYS)
      .map((key) => describeKey(key, ring, atSeconds)),
  };
}

function describeKey(key: KeyInfo, ring: SignerRing, atSeconds: number): RingKeyStatus {
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
    age: keyAge(key, ring.policy, atSeconds) ?? null,
  };
}
