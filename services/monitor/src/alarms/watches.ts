import { nowSeconds, type Clock, type Space } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import type { Alarms } from "./alarms.ts";
import type { AlarmKind, Detail } from "./kinds.ts";
import { REPORTER_SILENT_SECONDS, type ReportStore } from "../joins/reports/report-store.ts";

export interface WatchParts {
  readonly alarms: Alarms;
  readonly registry: Registry;
  readonly reports: ReportStore;
  readonly clock: Pick<Clock, "now">;
  /** How far each log was read. */
  readonly sizes: () => ReadonlyMap<string, number>;
  readonly isHalted: (origin: string) => boolean;
  /** On the disk of the monitor's folder; on one machine that is everybody's. */
  readonly space: () => Space;
}

const BLIND_MS = 30_000;
const WITNESS_LATE_MS = 60_000;
const REPORTER_SILENT_MS = REPORTER_SILENT_SECONDS * 1000;

/**
 * Watches things that should go on happening. When one stops an alarm is raised, and ends by itself when it happens
 * again.
 */
export class Watches {
  readonly #parts: WatchParts;
  /** Active times. */
  readonly #cosignedAt = new Map<string, number>();
  readonly #reportedAt = new Map<string, number>();
  #readAt = 0;
  #isCrowded = false;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  cosigned(origin: string, now: number): void {
    this.#cosignedAt.set(origin, now);
  }

  reported(reporter: string, now: number): void {
    this.#reportedAt.set(reporter, now);
  }

  /** Every log was read to its end. */
  logsRead(now: number): void {
    this.#readAt = now;
  }

  /** Connections of strangers run out, or no longer do (THREAT-36). */
  crowded(isCrowded: boolean): void {
    this.#isCrowded = isCrowded;
  }

  isBlind(now: number): boolean {
    return now - this.#readAt >= BLIND_MS;
  }

  check(now: number): void {
    this.#watch("audit-blind", "ledger", this.isBlind(now), { why: "ledger cannot be read" });
    this.#watch("connections-full", "http", this.#isCrowded, { why: "strangers take connections" });
    this.#checkSpace();
    for (const [origin, size] of this.#parts.sizes())
      if (size > 0 && !this.#parts.isHalted(origin)) this.#checkWitness(origin, now);
    const expected = this.#parts.reports.expected();
    for (const { reporter, status } of this.#parts.registry.reporters.values())
      this.#checkReporter(reporter, status === "active" && expected.has(reporter), now);
  }

  /** Seconds since any reporter was acknowledged; null when none ever was. */
  lastReportSeconds(): number | null {
    const { reports, registry, clock } = this.#parts;
    const times = [...registry.reporters.keys()]
      .map((reporter) => reports.lastReport(reporter))
      .filter((at) => at !== undefined);
    return times.length === 0 ? null : Math.max(0, nowSeconds(clock) - Math.max(...times));
  }

  /** Raised while there is still room to keep an alarm. */
  #checkSpace(): void {
    const { freeBytes, level } = this.#parts.space();
    if (level === "unknown") return;
    const detail = { freeMegabytes: Math.floor(freeBytes / 1e6) };
    this.#watch("disk-low", "monitor", level !== "enough", detail);
    this.#watch("disk-critical", "monitor", level === "critical" || level === "none", detail);
  }

  #checkWitness(origin: string, now: number): void {
    const since = sinceFirst(this.#cosignedAt, origin, now);
    this.#watch(
      "witness-late",
      origin,
      now - since >= WITNESS_LATE_MS,
      { seconds: 60 },
      { log: origin },
    );
  }

  /** docs/spec/reports.md §6: nobody waits for one that never reported, that said goodbye or that is disabled. */
  #checkReporter(reporter: string, isExpected: boolean, now: number): void {
    if (!isExpected) this.#reportedAt.delete(reporter);
    const isSilent =
      isExpected && now - sinceFirst(this.#reportedAt, reporter, now) >= REPORTER_SILENT_MS;
    this.#watch("reporter-silent", reporter, isSilent, { minutes: 15 }, { reporter });
  }

  #watch(
    kind: AlarmKind,
    subject: string,
    isBroken: boolean,
    detail: Detail,
    about: { readonly log?: string; readonly reporter?: string } = {},
  ): void {
    const { alarms } = this.#parts;
    if (isBroken) alarms.raiseState({ kind, subject, detail, ...about });
    else alarms.recover(kind, subject);
  }
}

/** What was never seen counts from when it was first looked for. */
function sinceFirst(times: Map<string, number>, name: string, now: number): number {
  const since = times.get(name) ?? now;
  times.set(name, since);
  return since;
}
