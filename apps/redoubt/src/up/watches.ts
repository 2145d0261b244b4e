import type { EventClasses, EventSink, Space } from "@redoubt/base";
import type { ServiceName } from "../layout.ts";
import { printable } from "../table.ts";

export const SUPERVISOR_EVENTS = {
  alarm: "security",
  alarm_over: "security",
} as const satisfies EventClasses;
export type SupervisorSink = EventSink<keyof typeof SUPERVISOR_EVENTS>;

/** How a process is, as the supervisor sees it, with what it says of itself while it answers. */
export interface ProcessView {
  readonly ready: boolean;
  /** Why it is not. */
  readonly reason?: string;
  readonly pid?: number;
  readonly restarts: number;
  /** POSIX seconds since which it runs. */
  readonly startedAt?: number;
}

interface Seen {
  /** Monotonic milliseconds of the first look that found it not ready. */
  readonly since: number | undefined;
  readonly restarts: number;
  readonly isAlarmed: boolean;
}

const ALARM_AFTER_MS = 30_000;

const MAX_REASON = 200;

/** A process chose it, a compromised one anything, and whoever reads it may do so in a terminal. */
export function reasonLine(reason: unknown, otherwise: string): string {
  return typeof reason === "string" ? printable(reason.slice(0, MAX_REASON)) : otherwise;
}

/** `status`: what it says of itself; undefined when it does not answer. */
export function viewOf(
  child: {
    readonly isReady: boolean;
    readonly pid: number | undefined;
    readonly restarts: number;
    readonly startedAt?: number | undefined;
  },
  status: unknown,
): ProcessView {
  const { isReady, pid, restarts, startedAt } = child;
  const own = typeof status === "object" && status !== null ? status : undefined;
  const since = pid === undefined ? undefined : startedAt;
  const place = {
    restarts,
    ...(pid !== undefined && { pid }),
    ...(since !== undefined && { startedAt: since }),
  };
  if (pid === undefined) return { ...place, ready: false, reason: "does not run" };
  if (!own) return { ...place, ready: false, reason: "does not answer" };
  const saysNo = "ready" in own && own.ready === false;
  if (isReady || saysNo) return { ...own, ...place, ready: isReady && !saysNo };
  return { reason: "is starting", ...own, ...place, ready: false };
}

/**
 * P4: the alarm for a process that cannot raise one itself, above all the monitor: stopped, away, behind or blind, or
 * started again and again. One when it begins, and one line when it is over.
 */
export class ProcessWatch {
  readonly #sink: SupervisorSink;
  readonly #seen = new Map<ServiceName, Seen>();

  constructor(sink: SupervisorSink) {
    this.#sink = sink;
  }

  look(views: ReadonlyMap<ServiceName, ProcessView>, now: number): void {
    for (const [process, view] of views) this.#seen.set(process, this.#judge(process, view, now));
  }

  #judge(process: ServiceName, view: ProcessView, now: number): Seen {
    const { ready, restarts, reason = "is not ready" } = view;
    const before = this.#seen.get(process);
    // A process that ends and starts again between two looks is ready at most of them, but its restarts grow.
    const isRestarted = before !== undefined && restarts > before.restarts;
    if (ready && !isRestarted) {
      if (before?.isAlarmed) this.#sink("alarm_over", { kind: "not-ready", process });
      return { since: undefined, restarts, isAlarmed: false };
    }
    const since = before?.since ?? now;
    const isAlarmed = before?.isAlarmed === true || now - since >= ALARM_AFTER_MS;
    if (isAlarmed && !before?.isAlarmed)
      this.#sink("alarm", {
        kind: "not-ready",
        severity: "critical",
        process,
        reason: ready ? "is started again and again" : reason,
        seconds: Math.round((now - since) / 1000),
      });
    return { since, restarts, isAlarmed };
  }
}

const SEVERITY = { low: "warning", critical: "critical", none: "critical" } as const;

/**
 * P12: the alarm before the disk is full, from a process that needs no disk to raise it: one for each step towards the
 * end, and one line when there is room again.
 */
export class SpaceWatch {
  readonly #sink: SupervisorSink;
  #level: keyof typeof SEVERITY | "enough" = "enough";

  constructor(sink: SupervisorSink) {
    this.#sink = sink;
  }

  look({ freeBytes, level }: Space): void {
    if (level === this.#level || level === "unknown") return;
    this.#level = level;
    const free = `${Math.floor(freeBytes / 1e6)} MB`;
    if (level === "enough") this.#sink("alarm_over", { kind: "disk-space", free });
    else this.#sink("alarm", { kind: "disk-space", severity: SEVERITY[level], level, free });
  }
}
