import { BatchSize, isContentRefusal } from "./batch-size.ts";
import type { ReportClient } from "./report-client.ts";
import { EMPTY_EVIDENCE, EvidenceStore, type EvidenceBatch } from "./report-evidence.ts";
import type { SetAside } from "./report-message.ts";

const MAX_BATCH_ITEMS = 100;

/** Sends the evidence that the monitor wants. An item that it cannot take is set aside; it holds up no other. */
export class EvidenceSender {
  readonly store: EvidenceStore;
  readonly #client: ReportClient;
  readonly #onSetAside: (what: SetAside) => void;
  readonly #size = new BatchSize(MAX_BATCH_ITEMS);

  constructor(parts: {
    readonly max: number;
    readonly maxBytes: number;
    readonly client: ReportClient;
    readonly onSetAside: (what: SetAside) => void;
  }) {
    this.store = new EvidenceStore(parts.max, parts.maxBytes);
    this.#client = parts.client;
    this.#onSetAside = parts.onSetAside;
  }

  /** Sends until nothing is wanted, or until an attempt fails. After a refusal the next batch is half as large. */
  async send(now: () => number): Promise<void> {
    for (;;) {
      const batch = this.store.nextBatch(now(), this.#size.items);
      if (batch === undefined || !(await this.#sendBatch(batch))) return;
    }
  }

  async #sendBatch(batch: EvidenceBatch): Promise<boolean> {
    const outcome = await this.#client.sendEvidence(batch);
    if (outcome.kind === "taken") {
      this.store.forget(batch.digests, outcome.refused);
      this.#size.taken();
      if (outcome.refused.length > 0) this.#onSetAside({ digests: outcome.refused });
      return true;
    }
    if (
      // mutate: the other kind has no status; the compiler wants to hear it.
      outcome.kind !== "refused" ||
      !isContentRefusal(outcome.status)
    )
      return false;
    this.#size.refused(batch.digests.length);
    if (batch.digests.length > 1) return true;
    // If the monitor refuses an empty message as well, the item is not at fault.
    if ((await this.#client.sendEvidence(EMPTY_EVIDENCE)).kind !== "taken") return false;
    this.store.forget(batch.digests, batch.digests);
    this.#onSetAside({ digests: batch.digests, status: outcome.status });
    return true;
  }
}
