import { errorCode, type Clock } from "@redoubt/base";
import type { Custodian } from "@redoubt/custody";
import type { SignerEvents } from "../events.ts";
import type { KeyRing } from "../keys/key-ring.ts";

export interface CustodyAuditOptions {
  readonly custodian: Pick<Custodian, "audit">;
  readonly ring: Pick<KeyRing, "refuse">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly events: Pick<SignerEvents, "auditFailed">;
}

const DAY_MS = 86_400_000;
const AGAIN_MS = 60_000;

/**
 * Looks at every key in custody at the start and daily: somebody who has custody's credential can put a key of his
 * own beside ours, or change what one may do (P5).
 */
export class CustodyAudit {
  readonly #options: CustodyAuditOptions;
  #dueMs = -Infinity;
  #running: Promise<void> | undefined;

  constructor(options: CustodyAuditOptions) {
    this.#options = options;
  }

  /** To be called every second. An audit asks about each key there is: nothing waits for it. */
  look(): void {
    if (this.#running || this.#options.clock.monotonic() < this.#dueMs) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when the one that is under way is over. */
  async ended(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    const { custodian, ring, clock, events } = this.#options;
    try {
      for (const { id, reason } of (await custodian.audit?.()) ?? []) ring.refuse(id, reason);
      this.#dueMs = clock.monotonic() + DAY_MS;
    } catch (error) {
      events.auditFailed(errorCode(error));
      this.#dueMs = clock.monotonic() + AGAIN_MS;
    }
  }
}
