import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import { route, SIGNER, type Call, type Route } from "@redoubt/wire";
import { guarded } from "../issue/guarded.ts";
import type { KeyOrders } from "./key-orders.ts";
import type { KeySteps } from "./key-steps.ts";
import { describeRing } from "./ring-status.ts";

export interface OperatorRoutesOptions {
  readonly orders: KeyOrders;
  readonly steps: Pick<KeySteps, "rings">;
  readonly clock: Clock;
  /** Throws while the registry cannot be relied on. */
  readonly checkRegistry: () => void;
}

/** P8: until presence is proven, an answer says that it was not. */
const presence = "none";

/** The manual key actions of docs/spec/wire.md §3; `ERR_SIGNER_OP` for any other caller, which is an alarm. */
export function operatorRoutes(options: OperatorRoutesOptions): readonly Route[] {
  const { orders, steps, clock, checkRegistry } = options;
  const check = ({ caller }: Call): void => {
    if (caller !== "operator")
      throw new ServiceError("ERR_SIGNER_OP", "Only the operator asks for this");
    checkRegistry();
  };
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
  ].map((one) => guarded(check, one));
}
