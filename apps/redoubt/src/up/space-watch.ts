import type { Space } from "@redoubt/base";
import type { SupervisorLog } from "./process-watch.ts";

const SEVERITY = { low: "warning", critical: "critical", none: "critical" } as const;

/**
 * P12: the alarm before the disk is full, from a process that needs no disk to raise it: one for each step towards the
 * end, and one line when there is room again.
 */
export class SpaceWatch {
  readonly #log: SupervisorLog;
  #level: keyof typeof SEVERITY | "enough" = "enough";

  constructor(log: SupervisorLog) {
    this.#log = log;
  }

  look({ freeBytes, level }: Space): void {
    if (level === this.#level || level === "unknown") return;
    this.#level = level;
    const free = `${Math.floor(freeBytes / 1e6)} MB`;
    if (level === "enough") this.#log("alarm_over", { kind: "disk-space", free });
    else this.#log("alarm", { kind: "disk-space", severity: SEVERITY[level], level, free });
  }
}
