import { errorCode, errorLine } from "@redoubt/base";
import type { SignerEvents } from "./events.ts";
import type { MonitorReports } from "./monitor-reports.ts";

/** What keeps the signer from its work, said when it changes and not every second. */
export class Trouble {
  readonly #events: SignerEvents;
  readonly #reports: MonitorReports;
  #code: string | undefined;

  constructor(events: SignerEvents, reports: MonitorReports) {
    this.#events = events;
    this.#reports = reports;
  }

  get code(): string | undefined {
    return this.#code;
  }

  found(error: unknown): void {
    const code = errorCode(error);
    if (code === this.#code) return;
    this.#code = code;
    this.#events.ledgerTrouble(code, errorLine(error));
    // THREAT-06, THREAT-30: said where an operator looks, and where nobody on this machine can take it back.
    if (/^ERR_(?:LOG|REGISTRY|SIGNER)_/.test(code))
      this.#reports.event("signer-refuses-ledger", `${code}: ${errorLine(error)}`);
  }

  over(): void {
    if (this.#code !== undefined) this.#events.ledgerBack();
    this.#code = undefined;
  }
}
