import type { Registry } from "@redoubt/registry";
import type { Answered, MONITOR } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import type { Watches } from "../alarms/watches.ts";
import type { Webhook } from "../alarms/webhook.ts";
import type { Follower } from "../follow/follower.ts";
import type { Sight } from "../follow/sight.ts";
import type { Deliveries } from "../joins/deliveries/deliveries.ts";
import type { IssuedJoin } from "../joins/issued/issued-join.ts";
import type { Reports } from "../joins/reports/reports.ts";
import type { WitnessStore } from "../witness/witness-store.ts";

export interface StatusParts {
  readonly alarms: Pick<Alarms, "openCount">;
  readonly deliveries: Pick<Deliveries, "orphaned" | "waiting">;
  readonly follower: Pick<Follower, "sizes">;
  readonly join: Pick<IssuedJoin, "held">;
  readonly registry: Pick<Registry, "reporters">;
  readonly reports: Pick<Reports, "describe">;
  readonly sight: Pick<Sight, "failure" | "ageSeconds">;
  readonly watches: Pick<Watches, "lastReportSeconds">;
  readonly webhook: Pick<Webhook, "status"> | undefined;
  readonly witnessStore: Pick<WitnessStore, "halts" | "held">;
}

// ARCHITECTURE §9: weak protection is shown as what it is.
const LABELS = ["identity: plain-file", "witness: same-machine"];

/** What it shows while the database is not open: then there is nothing else to say. */
export function describeWaiting(
  reason: string | undefined,
  witness: string,
): Answered<typeof MONITOR.status> {
  return { witness, labels: LABELS, ready: false, ...(reason !== undefined && { reason }) };
}

/** What `redoubt status` shows of the monitor. */
export function describeStatus(
  parts: StatusParts,
  witness: string,
): Answered<typeof MONITOR.status> {
  const { follower, witnessStore, registry, reports, watches, alarms, deliveries, join } = parts;
  const { failure, ageSeconds } = parts.sight;
  const halts = new Map(witnessStore.halts().map(({ origin, reason }) => [origin, reason]));
  const reporters = [...registry.reporters.values()].map(({ reporter, status }) => ({
    reporter,
    status,
    ...reports.describe(reporter),
  }));
  return {
    witness,
    labels: LABELS,
    ready: failure === undefined,
    ...(failure !== undefined && { reason: failure }),
    auditAgeSeconds: ageSeconds,
    logs: [...follower.sizes].map(([origin, size]) => ({
      log: origin,
      size,
      cosigned: witnessStore.held(origin).size,
      halted: halts.get(origin) ?? null,
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
