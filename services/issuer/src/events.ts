import type { EventClasses, EventSink } from "@redoubt/base";

export const ISSUER_EVENTS = {
  // Anybody can be refused, as often as they like.
  token_refused: "stranger",
  signer_refused: "operation",
  signer_answer_malformed: "security",
  signer_state: "operation",
  tokens_lost: "security",
  delivery_queue_full: "security",
  delivery_journal_failed: "operation",
  delivery_report_failed: "operation",
  delivery_reports_back: "operation",
  deliveries_unreported: "security",
  tenant_put: "security",
  client_put: "security",
} as const satisfies EventClasses;

export type IssuerEvent = keyof typeof ISSUER_EVENTS;

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

export function issuerEvents(log: EventSink<IssuerEvent>): IssuerEvents {
  return {
    refused: (fields) => log("token_refused", fields),
    signerRefused: (code) => log("signer_refused", { code }),
    signerAnswer: () => log("signer_answer_malformed"),
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
