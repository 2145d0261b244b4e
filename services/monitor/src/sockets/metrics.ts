import { fileBytes, type Sample } from "@redoubt/base";
import { samplesBy, samplesOf, type Answered, type MONITOR } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import type { Reports } from "../joins/reports/reports.ts";

export interface MetricsParts {
  readonly alarms: Pick<Alarms, "openBySeverity">;
  readonly reports: Pick<Reports, "received">;
  /** Path of the database. */
  readonly database: string;
}

/** The monitor's numbers: those of its status, without reporters and whatever else somebody named. */
export function monitorMetrics(
  status: Answered<typeof MONITOR.status>,
  { alarms, reports, database }: MetricsParts,
): readonly Sample[] {
  const { logs = [], pending, webhook } = status;
  return [
    ...samplesOf({
      redoubt_monitor_audit_age_seconds: status.auditAgeSeconds,
      redoubt_monitor_logs_halted: logs.filter(({ halted }) => halted !== null).length,
      redoubt_monitor_joins_pending: pending && pending.deliveries + pending.entries,
      redoubt_reports_received_total: reports.received,
      redoubt_report_age_seconds: status.lastReportSeconds ?? undefined,
      redoubt_reporters_silent: status.neverReported,
      redoubt_webhooks_waiting: webhook?.waiting,
      redoubt_webhooks_dead: webhook?.dead,
      redoubt_sqlite_wal_bytes: fileBytes(`${database}-wal`),
    }),
    ...samplesBy(
      "redoubt_monitor_entries_read",
      logs.map(({ log, size }) => [log, size]),
    ),
    ...samplesBy("redoubt_alarms_open", alarms.openBySeverity()),
  ];
}
