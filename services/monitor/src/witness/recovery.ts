import { type ServiceError, nowSeconds, type Clock } from "@redoubt/base";
import {
  parseStatement,
  verifyStatementAuthor,
  type WitnessForwardStatement,
} from "@redoubt/registry";
import { TlogError, verifyCosignature, type VerifierKey } from "@redoubt/tlog";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { Asked, MONITOR } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import { monitorError } from "../errors.ts";
import type { FollowStore } from "../follow/follow-store.ts";
import { grows, judgeSignatures, type FindLog } from "./log-keys.ts";
import type { WitnessStore } from "./witness-store.ts";

/**
 * What an operator hands in to move the witness of one log forward. `note`: a checkpoint that this witness cosigned,
 * with the signatures of log, writer and witness; `proof`: that the log at what the witness holds is a beginning of
 * it, empty where it holds nothing.
 */
type ForwardOrder = Asked<typeof MONITOR.forward>;

export interface RecoveryParts {
  readonly store: WitnessStore;
  readonly follow: FollowStore;
  readonly alarms: Alarms;
  readonly clock: Pick<Clock, "now">;
  /** Whose statements count now. */
  readonly operator: () => VerifierKey;
  /** Our own verifier key. */
  readonly self: VerifierKey;
  readonly findLog: FindLog;
}

/**
 * THREAT-38: the way out of an old copy of this database. A witness that is shown its own signature of a larger tree
 * than it remembers has forgotten something. It halts that log, because it may have signed still larger trees. Only
 * the operator can find out, by looking at every copy of the log. And even the operator can only move the witness
 * forward: to a tree that the witness signed itself, and that continues what it holds.
 */
export class WitnessRecovery {
  readonly #parts: RecoveryParts;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /** @throws ServiceError `ERR_MONITOR_RECOVER` that says why it does not move; then nothing has changed */
  forward(order: ForwardOrder): { readonly from: number; readonly to: number } {
    const { store, follow, alarms, clock } = this.#parts;
    const said = this.#openStatement(order);
    const { log: origin, size } = said;
    const root = decodeBase64url(said.root, { bytes: 32 });
    this.#checkNote(order.note, said);
    const held = store.held(origin);
    this.#checkHalt(said);
    if (size < held.size)
      throw refusal(`The witness holds ${held.size} entries of ${origin}, and moves only forward`);
    if (!grows(held, { size, root }, order.proof))
      throw refusal(`The proof does not lead from what the witness holds of ${origin}`);
    store.transaction(() => {
      store.put(origin, { size, root, note: order.note });
      store.resume(origin);
      follow.raiseBaseline(origin, size);
      alarms.raise({
        kind: "witness-moved",
        subject: `${origin} ${size}`,
        log: origin,
        detail: { from: held.size, to: size, reason: said.reason, at: nowSeconds(clock) },
      });
    });
    return { from: held.size, to: size };
  }

  #openStatement({ statement, envelope }: ForwardOrder): WitnessForwardStatement {
    try {
      verifyStatementAuthor(statement, envelope, this.#parts.operator());
      const said = parseStatement(statement);
      if (said.type === "witness-forward") return said;
    } catch (cause) {
      throw refusal("Not a statement of the operator", { cause });
    }
    throw refusal("Not a statement that moves a witness");
  }

  #checkNote(note: string, { log: origin, size, root }: WitnessForwardStatement): void {
    const keys = this.#parts.findLog(origin);
    // The registry says which keys other logs have: it is moved first.
    if (!keys)
      throw refusal(`No log ${origin} is known: where the registry is halted, move it first`);
    if (judgeSignatures(note, keys).kind !== "signed")
      throw refusal("The checkpoint is not signed by log and writer");
    try {
      const { checkpoint } = verifyCosignature(note, this.#parts.self);
      const isSaid =
        checkpoint.origin === origin &&
        checkpoint.size === size &&
        checkpoint.root.equals(decodeBase64url(root, { bytes: 32 }));
      if (isSaid) return;
    } catch (cause) {
      if (!(cause instanceof TlogError)) throw cause;
      throw refusal("The checkpoint was not cosigned by this witness", { cause });
    }
    throw refusal("The statement is about another checkpoint");
  }

  /** An order that is older than this halt was about an earlier one, and must not end this one. */
  #checkHalt({ log: origin, at }: WitnessForwardStatement): void {
    const halt = this.#parts.store.haltOf(origin);
    if (halt === undefined) return;
    if (halt.reason !== "witness-rollback")
      throw refusal(`${origin} is halted for good (${halt.reason}): it must be closed`);
    if (at < halt.at) throw refusal("The order is older than the halt");
  }
}

function refusal(message: string, options: ErrorOptions = {}): ServiceError {
  return monitorError("ERR_MONITOR_RECOVER", message, options);
}
