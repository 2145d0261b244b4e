import {
  TlogError,
  verifyConsistency,
  type CompactRange,
  type OpenedCheckpoint,
} from "@redoubt/tlog";
import type { Alarms } from "../alarms/alarms.ts";
import { monitorError } from "../errors.ts";
import type { Claims, PendingClaim } from "../witness/claims.ts";
import { judgeSignatures, type LogKeys } from "../witness/log-keys.ts";
import type { Witness } from "../witness/witness.ts";
import { readConsistency, type LedgerPort, type UnverifiedState } from "./ledger-port.ts";

export interface LogReaderParts {
  readonly keys: LogKeys;
  readonly ledger: LedgerPort;
  readonly alarms: Alarms;
  readonly claims: Claims;
  readonly witness: Witness;
  /** Active milliseconds. */
  readonly active: () => number;
}

/** How long the ledger may leave a claim unanswered that it must be able to answer. */
const CLAIM_PATIENCE_MS = 10_000;

/**
 * Holds one log against its checkpoints: every root is computed here from the entries, and only roots that the log
 * and its writer signed are taken (THREAT-06).
 */
export class LogReader {
  readonly #parts: LogReaderParts;
  #range: CompactRange;
  #checkedNote = "";
  #checked: OpenedCheckpoint | undefined;

  constructor(parts: LogReaderParts, range: CompactRange) {
    this.#parts = parts;
    this.#range = range;
  }

  get size(): number {
    return this.#range.size;
  }

  /** A range at the present size, for looking ahead. */
  copy(): CompactRange {
    return this.#range.clone();
  }

  /**
   * Takes leaf hashes that follow what was read so far, if the checkpoint that came with them covers them.
   * Returns the range after them; undefined when the log is not to be believed, with an alarm that says why.
   */
  async accept(
    state: UnverifiedState,
    leaves: readonly Buffer[],
  ): Promise<CompactRange | undefined> {
    const { keys, witness } = this.#parts;
    if (state.size < this.#range.size) return this.#shrunk(state);
    if (state.cosigned !== "") witness.checkOwnCosignature(keys.origin, state.cosigned);
    if (state.size === 0) return this.#range;
    const checkpoint = this.#open(state.checkpoint);
    if (!checkpoint) return undefined;
    if (checkpoint.size !== state.size || (leaves.length === 0 && this.#range.size < state.size))
      throw monitorError("ERR_MONITOR_LEDGER", "Ledger answer: size and checkpoint do not fit");
    const next = this.#range.clone();
    for (const leaf of leaves) next.append(leaf);
    if (!(await this.#covers(checkpoint, next))) {
      witness.halt(keys.origin, state.checkpoint, "entries do not give the signed root");
      return undefined;
    }
    this.#range = next;
    this.#parts.alarms.recover("log-shrunk", keys.origin);
    return next;
  }

  /** Asks the ledger to agree with what was claimed of its log (see Claim). */
  async settleClaims(): Promise<void> {
    const { claims, keys } = this.#parts;
    for (const claim of claims.of(keys.origin)) {
      const agrees = await this.#agrees(claim);
      if (agrees === true) claims.settle(claim);
      else if (agrees === false || this.#isOutOfPatience(claim)) this.#convict(claim);
    }
  }

  #convict(claim: PendingClaim): void {
    const { claims, alarms, witness } = this.#parts;
    const { log, note, size } = claim;
    claims.settle(claim);
    if (claim.kind === "unsigned-batch")
      return alarms.raise({ kind: "unsigned-batch", subject: log, log, detail: { size, note } });
    witness.halt(log, note, "signed checkpoint that the log does not continue");
  }

  #isOutOfPatience(claim: PendingClaim): boolean {
    const now = this.#parts.active();
    claim.doubtedSince ??= now;
    return now - claim.doubtedSince >= CLAIM_PATIENCE_MS;
  }

  /** Undefined while the ledger has neither shown nor failed to show it. */
  async #agrees({ log, size, root }: PendingClaim): Promise<boolean | undefined> {
    if (size > this.#range.size) return undefined;
    const [size2, root2] = [this.#range.size, this.#range.root()];
    if (size === size2) return root.equals(root2);
    if (size === 0) return true;
    let proof: Buffer[];
    try {
      proof = await readConsistency(this.#parts.ledger, log, size, size2);
    } catch {
      // It may be busy or broken; patience decides, not one answer.
      return undefined;
    }
    return isConsistent({ size1: size, root1: root, size2, root2, proof });
  }

  #open(note: string): OpenedCheckpoint | undefined {
    if (note === this.#checkedNote) return this.#checked;
    const { keys, alarms } = this.#parts;
    const verdict = judgeSignatures(note, keys);
    this.#checkedNote = note;
    this.#checked = verdict.kind === "signed" ? verdict.checkpoint : undefined;
    if (verdict.kind !== "signed")
      alarms.raise({
        kind: "unsigned-batch",
        subject: keys.origin,
        log: keys.origin,
        detail: { why: "ledger shows a checkpoint without the signatures of log and writer" },
      });
    return this.#checked;
  }

  /** The signed root, or a proof from our root to it while we are still behind. */
  async #covers(checkpoint: OpenedCheckpoint, next: CompactRange): Promise<boolean> {
    const { origin, size, root } = checkpoint;
    if (next.size > size) return false;
    if (next.size === size) return next.root().equals(root);
    if (next.size === 0) return true;
    const proof = await readConsistency(this.#parts.ledger, origin, next.size, size);
    return isConsistent({ size1: next.size, root1: next.root(), size2: size, root2: root, proof });
  }

  #shrunk(state: UnverifiedState): undefined {
    const { alarms, keys } = this.#parts;
    alarms.raiseState({
      kind: "log-shrunk",
      subject: keys.origin,
      log: keys.origin,
      detail: { read: this.#range.size, now: state.size },
    });
    return undefined;
  }
}

function isConsistent(consistency: Parameters<typeof verifyConsistency>[0]): boolean {
  try {
    verifyConsistency(consistency);
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}
