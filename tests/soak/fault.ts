import type { Machine } from "./machine.ts";

export type FaultKind = "kill" | "stop" | "strangers" | "full-disk" | "old-copy" | "hsm";

/** Kinds of alarm, and who ends each: what raised it when it is over, or a person who has seen it. */
export type TrueAlarms = Readonly<Record<string, "itself" | "person">>;

/** Something that happens to a running system and is over after a while. */
export interface Fault {
  readonly kind: FaultKind;
  readonly name: string;
  /** Between `begin` and `end`. */
  readonly holdMs: number;
  /** Alarms that are right while it lasts. */
  readonly alarms?: TrueAlarms;
  /** Some rounds before. */
  readonly prepare?: (machine: Machine) => Promise<void>;
  /** Makes it happen; what it returns ends it. */
  readonly begin: (machine: Machine) => Promise<End>;
}

export type End = () => void | Promise<void>;

export function secondsText(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
