import type { TreeHead } from "@redoubt/tlog";

/**
 * A signed tree head that the ledger's log has to continue. `witnessed`: we cosigned it. The two others came in over
 * the open port, where anybody can send a genuine checkpoint with a broken proof, or with a signature cut off. So
 * they become an alarm only if the ledger cannot show that its log continues them.
 */
export interface Claim extends TreeHead {
  readonly kind: "witnessed" | "fork" | "unsigned-batch";
  readonly origin: string;
  readonly note: string;
}

export interface PendingClaim extends Claim {
  /** Active time of the first reading of the log that did not confirm it. */
  doubtedSince: number | undefined;
}

const MAX_PER_LOG = 16;

/** Claims that wait for the ledger; bounded, because anybody can repeat old checkpoints. */
export class Claims {
  readonly #byOrigin = new Map<string, PendingClaim[]>();

  add(claim: Claim): void {
    const claims = this.#byOrigin.get(claim.origin) ?? [];
    // Only the newest checkpoint that we cosigned matters: it continues the ones before.
    const kept = claims.filter((old) => !(claim.kind === "witnessed" && old.kind === "witnessed"));
    if (kept.some((old) => isSame(old, claim)) || kept.length >= MAX_PER_LOG) return;
    this.#byOrigin.set(claim.origin, [...kept, { ...claim, doubtedSince: undefined }]);
  }

  of(origin: string): readonly PendingClaim[] {
    return this.#byOrigin.get(origin) ?? [];
  }

  settle(claim: PendingClaim): void {
    this.#byOrigin.set(
      claim.origin,
      this.of(claim.origin).filter((one) => one !== claim),
    );
  }
}

function isSame(a: Claim, b: Claim): boolean {
  return a.kind === b.kind && a.size === b.size && a.root.equals(b.root);
}
