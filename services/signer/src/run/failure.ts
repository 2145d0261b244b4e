import { errorCode, errorLine } from "@redoubt/base";
import type { SignerEvents } from "../events.ts";
import type { MonitorReports } from "./monitor-reports.ts";

const MAX_REASON = 400;

/** The failure that keeps the signer from its work. It is logged when it begins, changes and ends, not every second. */
export class StandingFailure {
  readonly #events: SignerEvents;
  readonly #reports: MonitorReports;
  #code: string | undefined;
  #reason: string | undefined;

  constructor(events: SignerEvents, reports: MonitorReports) {
    this.#events = events;
    this.#reports = reports;
  }

  get code(): string | undefined {
    return this.#code;
  }

  /** Code and text, for an operator. */
  get reason(): string | undefined {
    return this.#reason;
  }

  found(error: unknown): void {
    const code = errorCode(error);
    this.#reason = `${code}: ${errorLine(error)}`.slice(0, MAX_REASON);
    if (code === this.#code) return;
    this.#code = code;
    if (isOfKeys(code)) {
      this.#events.custodyFailure(code, errorLine(error));
      this.#reports.event("custody-trouble", this.#reason);
      return;
    }
    if (code.startsWith("ERR_WITNESS_")) {
      this.#events.witnessFailure(code, errorLine(error));
      if (code !== "ERR_WITNESS_AWAY") this.#reports.event("signer-refuses-witness", this.#reason);
      return;
    }
    this.#events.ledgerFailure(code, errorLine(error));
    // THREAT-06, THREAT-30: the event is for the operator. The monitor gets it, too, since it may be on another machine.
    if (/^ERR_(?:LOG|REGISTRY|SIGNER)_/.test(code))
      this.#reports.event("signer-refuses-ledger", this.#reason);
  }

  over(): void {
    if (this.#code !== undefined && isOfKeys(this.#code)) this.#events.custodyBack();
    else if (this.#code?.startsWith("ERR_WITNESS_")) this.#events.witnessBack();
    else if (this.#code !== undefined) this.#events.ledgerBack();
    this.#code = undefined;
    this.#reason = undefined;
  }
}

/** The failure is custody's, or of a file with the signer's own keys: the ledger has no part in it. */
function isOfKeys(code: string): boolean {
  return code.startsWith("ERR_KEY_");
}
