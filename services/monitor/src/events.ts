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

export type MonitorLog = EventSink<keyof typeof MONITOR_EVENTS | WireEvent | HttpEvent>;

export function alarmRaised(log: MonitorLog, alarm: Alarm): void {
  const { at: _, ...fields } = alarm;
  log("alarm", fields);
}

export function alarmUpdated(log: MonitorLog, notice: AlarmNotice): void {
  const { at: _, ...fields } = notice;
  log("alarm_updated", fields);
}

export function alarmRepeated(
  log: MonitorLog,
  fields: { id: number; kind: string; severity: string; count: number },
): void {
  log("alarm_repeated", fields);
}

export function alarmClosed(log: MonitorLog, fields: { id: number; caller: string }): void {
  log("alarm_closed", { ...fields, presence: "none" });
}

export function monitorOpened(log: MonitorLog, fields: { port: number; witness: string }): void {
  log("opened", fields);
}

export function tickFailed(log: MonitorLog, fields: { code: string; message: string }): void {
  log("tick_failed", fields);
}

/** Nothing is kept and everything refused until there is room again. */
export function diskFull(log: MonitorLog, fields: { message: string }): void {
  log("disk_full", fields);
}

export function diskHasRoom(log: MonitorLog): void {
  log("disk_has_room");
}

export function ledgerUnread(log: MonitorLog, fields: { log: string; code: string }): void {
  log("ledger_unread", fields);
}

export function reportRefused(log: MonitorLog, fields: { reporter: string; code: string }): void {
  log("report_refused", fields);
}

export function issuerSession(log: MonitorLog, fields: { caller: string; unclean: boolean }): void {
  log("issuer_session", fields);
}

export function entriesOrphaned(
  log: MonitorLog,
  fields: { log: string; count: number; digests: readonly string[] },
): void {
  log("entries_orphaned", fields);
}

export function webhookDropped(log: MonitorLog, fields: { id: string; reason: string }): void {
  log("webhook_dropped", fields);
}
