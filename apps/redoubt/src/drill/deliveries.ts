import { hash, randomBytes } from "node:crypto";
import { ask, MONITOR, type Asked } from "@redoubt/wire";
import type { Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";

/**
 * Tells the monitor of the legitimate tokens that a drill was given, as an issuer does: a token that nobody says
 * was delivered is one that a signer made for itself (THREAT-28).
 */
export class DrillDeliveries {
  readonly #operator: Operator;
  readonly #session = randomBytes(16).toString("base64url");
  readonly #seq = new Map<Realm, number>();

  constructor(operator: Operator) {
    this.#operator = operator;
  }

  async delivered(realm: Realm, token: string): Promise<void> {
    const digest = hash("sha256", token.slice(0, token.lastIndexOf(".")), "base64url");
    await this.#send(realm, { digests: [digest] });
  }

  /** Says that nothing more comes, so that the end of this drill is no gap. */
  async close(): Promise<void> {
    for (const realm of this.#seq.keys()) await this.#send(realm, { digests: [], closing: true });
  }

  async #send(
    realm: Realm,
    report: Pick<Asked<typeof MONITOR.delivered>, "digests" | "closing">,
  ): Promise<void> {
    const seq = (this.#seq.get(realm) ?? 0) + 1;
    this.#seq.set(realm, seq);
    const monitor = this.#operator.client("monitor", `drill-${realm}`);
    await ask(monitor, MONITOR.delivered, { session: this.#session, seq, ...report });
  }
}
