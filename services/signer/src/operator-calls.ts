import { MemberReader, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import type { KeyOrders } from "./key-orders.ts";
import type { KeySteps } from "./key-steps.ts";
import { describeRing } from "./ring-status.ts";

export interface OperatorCallsOptions {
  readonly orders: KeyOrders;
  readonly steps: Pick<KeySteps, "rings">;
  readonly clock: Clock;
  /** Throws while the registry cannot be relied on. */
  readonly checkRegistry: () => void;
}

export const OPERATOR_OPS = ["rotate", "taint", "retain", "rollback", "rings"] as const;
export type OperatorOp = (typeof OPERATOR_OPS)[number];

const KID = /^[\w-]{43}$/;
/** The registry holds 256 characters, and says in some of them who asked. */
const MAX_REASON = 160;
const REASON = /^[^\p{Cc}]+$/u;
/** P8: until presence is proven, an answer says that it was not. */
const PRESENCE = { presence: "none" } as const;

export function isOperatorOp(op: string): op is OperatorOp {
  return OPERATOR_OPS.some((known) => known === op);
}

/** The manual key actions of docs/spec/wire.md §3. */
export class OperatorCalls {
  readonly #options: OperatorCallsOptions;

  constructor(options: OperatorCallsOptions) {
    this.#options = options;
  }

  /** @throws ServiceError `ERR_SIGNER_OP` for any other caller: that is an alarm */
  async handle(caller: string, op: OperatorOp, head: JsonObject): Promise<object> {
    if (caller !== "operator")
      throw new ServiceError("ERR_SIGNER_OP", "Only the operator asks for this");
    this.#options.checkRegistry();
    const reader = new MemberReader(head, op);
    if (op === "rings") return this.#rings(reader);
    return { ...(await this.#order(op, reader)), ...PRESENCE };
  }

  #order(op: Exclude<OperatorOp, "rings">, reader: MemberReader): Promise<object> {
    const { orders } = this.#options;
    switch (op) {
      case "rotate": {
        const tokenClass = reader.oneOf("class", ["at", "oidc"]);
        const isEarly = readEarly(reader);
        return orders.rotate(tokenClass, lastReason(reader), isEarly);
      }
      case "taint": {
        const kid = reader.string("kid", 43, KID);
        const isEarly = readEarly(reader);
        return named(kid, orders.taint(kid, lastReason(reader), isEarly));
      }
      case "retain": {
        const kid = reader.string("kid", 43, KID);
        const retain = reader.boolean("retain");
        return named(kid, orders.retain(kid, retain, lastReason(reader)));
      }
      case "rollback": {
        const kid = reader.string("kid", 43, KID);
        return orders.rollback(kid, lastReason(reader));
      }
    }
  }

  #rings(reader: MemberReader): object {
    reader.done();
    const { steps, clock } = this.#options;
    return { rings: steps.rings.map((facts) => describeRing(facts, nowSeconds(clock))) };
  }
}

/** P6: that a key signs before every verifier knows it is said aloud. */
function readEarly(reader: MemberReader): boolean {
  return reader.has("early") && reader.boolean("early");
}

/** A manual action says why, in every case; nothing stands after it. */
function lastReason(reader: MemberReader): string {
  const reason = reader.string("reason", MAX_REASON, REASON);
  reader.done();
  return reason;
}

async function named(kid: string, answer: Promise<object>): Promise<object> {
  return { kid, ...(await answer) };
}
