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
  registry_failed: "operation",
  registry_back: "operation",
  registry_entry_void: "security",
  registry_copy_damaged: "security",
  registry_copy_failed: "operation",
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
  registryFailed(code: string): void;
  registryBack(size: number): void;
  /** An entry that changes nothing, and should never have been said. */
  entryVoid(index: number, code: string): void;
  /** What was kept of the registry cannot be believed, and is read again. */
  copyDamaged(code: string): void;
  /** It could not be kept; what it says counts all the same. */
  copyFailed(code: string): void;
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
    registryFailed: (code) => log("registry_failed", { code }),
    registryBack: (size) => log("registry_back", { size }),
    entryVoid: (index, code) => log("registry_entry_void", { index, code }),
    copyDamaged: (code) => log("registry_copy_damaged", { code }),
    copyFailed: (code) => log("registry_copy_failed", { code }),
  };
}
