import type { SignerEvents } from "../events.ts";
import type { MonitorReports } from "../run/monitor-reports.ts";

/**
 * THREAT-37: a date ahead is logged here, and told to the monitor. That may be the witness which lies, and drop it:
 * the line in this log stays.
 */
export function witnessAlarm(
  log: string,
  { events, reports }: { readonly events: SignerEvents; readonly reports: MonitorReports },
): (cosignedSeconds: number, nowSeconds: number) => void {
  return (cosignedSeconds, nowSeconds) => {
    const now = Math.floor(nowSeconds);
    events.cosignatureAhead(log, cosignedSeconds, now);
    reports.event("cosignature-ahead", `${log}: dated ${cosignedSeconds}, this clock is at ${now}`);
  };
}
