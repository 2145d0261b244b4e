import type { EventClasses, EventSink } from "@redoubt/base";

export const DELIVERY_EVENTS = {
  tokens_lost: "security",
  delivery_queue_full: "security",
  delivery_journal_failed: "operation",
  delivery_report_failed: "operation",
  delivery_reports_back: "operation",
  deliveries_unreported: "security",
} as const satisfies EventClasses;

export type DeliveryEvent = keyof typeof DELIVERY_EVENTS;

export interface DeliveryEvents {
  lost(count: number): void;
  queueFull(size: number): void;
  journalFailed(code: string): void;
  reportFailed(code: string): void;
  reportsBack(): void;
  unreported(waiting: number, lost: number): void;
}

export function deliveryEvents(sink: EventSink<DeliveryEvent>): DeliveryEvents {
  return {
    lost: (count) => sink("tokens_lost", { count }),
    queueFull: (size) => sink("delivery_queue_full", { size }),
    journalFailed: (code) => sink("delivery_journal_failed", { code }),
    reportFailed: (code) => sink("delivery_report_failed", { code }),
    reportsBack: () => sink("delivery_reports_back"),
    unreported: (waiting, lost) => sink("deliveries_unreported", { waiting, lost }),
  };
}
