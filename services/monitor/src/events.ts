import type { EventClasses, EventSink } from "@redoubt/base";
import type { HttpEvent } from "@redoubt/http";
import type { WireEvent } from "@redoubt/wire";
import type { Alarm, AlarmNotice } from "./alarms/kinds.ts";

export const MONITOR_EVENTS = {
  alarm: "security",
  alarm_updated: "security",
  alarm_repeated: "security",
  alarm_closed: "security",
  opened: "operation",
  tick_failed: "security",
  disk_full: "security",
  disk_has_room: "security",
  ledger_unread: "operation",
  report_refused: "security",
  issuer_session: "security",
  entries_orphaned: "security",
  webhook_dropped: "security",
} as const satisfies EventClasses;

export type MonitorEvents = EventSink<keyof typeof MONITOR_EVENTS | WireEvent | HttpEvent>;

export function alarmRaised(events: MonitorEvents, alarm: Alarm): void {
  const { at: _, ...fields } = alarm;
  events("alarm", fields);
}

export function alarmUpdated(events: MonitorEvents, notice: AlarmNotice): void {
  const { at: _, ...fields } = notice;
  events("alarm_updated", fields);
}

export function alarmRepeated(
  events: MonitorEvents,
  fields: { id: number; kind: string; severity: string; count: number },
): void {
  events("alarm_repeated", fields);
}

export function alarmClosed(events: MonitorEvents, fields: { id: number; caller: string }): void {
  events("alarm_closed", { ...fields, presence: "none" });
}

export function monitorOpened(
  events: MonitorEvents,
  fields: { port: number; witness: string },
): void {
  events("opened", fields);
}

export function tickFailed(events: MonitorEvents, fields: { code: string; message: string }): void {
  events("tick_failed", fields);
}

/** From now on nothing is kept, and every request is refused, until there is room again. */
export function diskFull(events: MonitorEvents, fields: { message: string }): void {
  events("disk_full", fields);
}

export function diskHasRoom(events: MonitorEvents): void {
  events("disk_has_room");
}

export function ledgerUnread(events: MonitorEvents, fields: { log: string; code: string }): void {
  events("ledger_unread", fields);
}

export function reportRefused(
  events: MonitorEvents,
  fields: { reporter: string; code: string },
): void {
  events("report_refused", fields);
}

export function issuerSession(
  events: MonitorEvents,
  fields: { caller: string; unclean: boolean },
): void {
  events("issuer_session", fields);
}

export function entriesOrphaned(
  events: MonitorEvents,
  fields: { log: string; count: number; digests: readonly string[] },
): void {
  events("entries_orphaned", fields);
}

export function webhookDropped(
  events: MonitorEvents,
  fields: { id: string; reason: string },
): void {
  events("webhook_dropped", fields);
}
