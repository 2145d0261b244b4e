import type { TreeHead } from "./log-keys.ts";

/**
 * Something that a signed checkpoint says and that the ledger must be able to agree with. `witnessed`: we cosigned
 * it. The others came in over the open port: a genuine checkpoint with a broken proof or with a signature cut off
 * is easy to send, so such a claim becomes an alarm only if the ledger cannot show that its log continues it.
 */
export interface Claim extends TreeHead {
  readonly kind: "witnessed" | "fork" | "unsigned-batch";
  readonly origin: string;
  readonly note: string;
}

export interface PendingClaim extends Claim {
  /** Reads of the log, by active time, began to contradict it here. */
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
