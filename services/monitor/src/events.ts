import type { EventSink } from "@redoubt/base";
import type { Alarm, AlarmNotice } from "./alarms/kinds.ts";

export function alarmRaised(log: EventSink, alarm: Alarm): void {
  const { at: _, ...fields } = alarm;
  log("alarm", fields);
}

export function alarmUpdated(log: EventSink, notice: AlarmNotice): void {
  const { at: _, ...fields } = notice;
  log("alarm_updated", fields);
}

export function alarmRepeated(
  log: EventSink,
  fields: { id: number; kind: string; severity: string; count: number },
): void {
  log("alarm_repeated", fields);
}

export function alarmClosed(log: EventSink, fields: { id: number; caller: string }): void {
  log("alarm_closed", { ...fields, presence: "none" });
}

export function monitorOpened(log: EventSink, fields: { port: number; witness: string }): void {
  log("opened", fields);
}

export function tickFailed(log: EventSink, fields: { code: string; message: string }): void {
  log("tick_failed", fields);
}

/** Nothing is kept and everything refused until there is room again. */
export function diskFull(log: EventSink, fields: { message: string }): void {
  log("disk_full", fields);
}

export function diskHasRoom(log: EventSink): void {
  log("disk_has_room");
}

export function ledgerUnread(log: EventSink, fields: { log: string; code: string }): void {
  log("ledger_unread", fields);
}

export function reportRefused(log: EventSink, fields: { reporter: string; code: string }): void {
  log("report_refused", fields);
}

export function issuerSession(log: EventSink, fields: { caller: string; unclean: boolean }): void {
  log("issuer_session", fields);
}

export function entriesOrphaned(
  log: EventSink,
  fields: { log: string; count: number; digests: readonly string[] },
): void {
  log("entries_orphaned", fields);
}

export function webhookDropped(log: EventSink, fields: { id: string; reason: string }): void {
  log("webhook_dropped", fields);
}
