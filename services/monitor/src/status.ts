import type { Answered, MONITOR } from "@redoubt/wire";
import type { MonitorParts } from "./parts.ts";

// ARCHITECTURE §9: said as what it is.
const LABELS = ["identity: plain-file", "witness: same-machine"];

/** The same while it has no database to say anything from. */
export function describeWaiting(
  reason: string | undefined,
  witness: string,
): Answered<typeof MONITOR.status> {
  return { witness, labels: LABELS, ready: false, ...(reason !== undefined && { reason }) };
}

/** What `redoubt status` shows of the monitor. */
export function describeStatus(
  parts: Omit<MonitorParts, "operations">,
  witness: string,
): Answered<typeof MONITOR.status> {
  const { follower, witnessStore, registry, reports, watches, alarms, deliveries, join } = parts;
  const { problem, ageSeconds } = parts.sight;
  const halts = new Map(witnessStore.halts().map(({ log, reason }) => [log, reason]));
  const reporters = [...registry.reporters.values()].map(({ reporter, status }) => ({
    reporter,
    status,
    ...reports.describe(reporter),
  }));
  return {
    witness,
    labels: LABELS,
    ready: problem === undefined,
    ...(problem !== undefined && { reason: problem }),
    auditAgeSeconds: ageSeconds,
    logs: [...follower.sizes].map(([log, size]) => ({
      log,
      size,
      cosigned: witnessStore.held(log).size,
      halted: halts.get(log) ?? null,
    })),
    orphaned: deliveries.orphaned,
    reporters,
    // P4 does not hold for verifiers that do not report: they are counted.
    neverReported: reporters.filter(
      ({ status, lastReport }) => status === "active" && lastReport === null,
    ).length,
    pending: { deliveries: deliveries.waiting, entries: join.held },
    lastReportSeconds: watches.lastReportSeconds(),
    open: alarms.openCount,
    webhook: parts.webhook?.status ?? null,
  };
}
