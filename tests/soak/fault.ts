import type { FaultKind, Machine } from "./machine.ts";

/** What is right to be alarmed. */
export interface TrueAlarm {
  /** Its kind; of an event with the event's name, as `event custody-trouble`. */
  readonly kind: string;
  /** Who ends it: what raised it when it is over, or a person who has seen it. */
  readonly endedBy: "itself" | "person";
  /** It may come after the fault, when a deadline of the monitor is over. */
  readonly isLate?: boolean;
}

/** Something that happens to a running system and is over after a while. */
export interface Fault {
  readonly kind: FaultKind;
  readonly name: string;
  /** Between `begin` and `end`. */
  readonly holdMs: number;
  /** Alarms that are right while it lasts. */
  readonly alarms?: readonly TrueAlarm[];
  /** Some rounds before. */
  readonly prepare?: (machine: Machine) => Promise<void>;
  /** Makes it happen; what it returns ends it. */
  readonly begin: (machine: Machine) => Promise<End>;
}

export type End = () => void | Promise<void>;

export function secondsText(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
