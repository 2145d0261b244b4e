import type { Clock, EventSink } from "@redoubt/base";

/** Every business event of the issuer. Never a token, secret or assertion. */
export interface IssuerEvents {
  refused(fields: {
    readonly requestId: string;
    readonly tenant: string;
    readonly code: string;
    readonly cause?: string;
  }): void;
  signerRefused(code: string): void;
  signerAnswer(): void;
  signerState(ready: boolean, reason?: string): void;
  lost(count: number): void;
  queueFull(size: number): void;
  journalFailed(code: string): void;
  reportFailed(code: string): void;
  reportsBack(): void;
  unreported(waiting: number, lost: number): void;
  tenantPut(tenant: string, status: string, statement?: number): void;
  clientPut(tenant: string, client: string, status: string, statement?: number): void;
}

const LINES_PER_SECOND = 50;

export function issuerEvents(log: EventSink, clock: Pick<Clock, "monotonic">): IssuerEvents {
  const limited = limitLines(log, clock);
  return {
    // Anybody can cause these two, as often as they like.
    refused: (fields) => limited("token_refused", fields),
    signerRefused: (code) => limited("signer_refused", { code }),
    signerAnswer: () => limited("signer_answer_malformed", {}),
    signerState: (ready, reason) => log("signer_state", { ready, reason }),
    lost: (count) => log("tokens_lost", { count }),
    queueFull: (size) => log("delivery_queue_full", { size }),
    journalFailed: (code) => log("delivery_journal_failed", { code }),
    reportFailed: (code) => log("delivery_report_failed", { code }),
    reportsBack: () => log("delivery_reports_back"),
    unreported: (waiting, lost) => log("deliveries_unreported", { waiting, lost }),
    tenantPut: (tenant, status, statement) => log("tenant_put", { tenant, status, statement }),
    clientPut: (tenant, client, status, statement) =>
      log("client_put", { tenant, client, status, statement }),
  };
}

/** THREAT-26: a flood of refusals must not fill the disk; what is left out is counted. */
function limitLines(
  log: EventSink,
  clock: Pick<Clock, "monotonic">,
): (name: string, fields: Readonly<Record<string, unknown>>) => void {
  let second = 0;
  let lines = 0;
  let left = 0;
  return (name, fields) => {
    const now = Math.floor(clock.monotonic() / 1000);
    if (now !== second) {
      if (left > 0) log("lines_left_out", { count: left });
      second = now;
      lines = 0;
      left = 0;
    }
    lines += 1;
    if (lines <= LINES_PER_SECOND) log(name, fields);
    else left += 1;
  };
}
