import { statSync } from "node:fs";
import type { EventCounts } from "./events.ts";

/** What one metric is: declared once, for whoever measures, checks, shows and documents it. */
export interface Metric {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** The one label that the process itself sets: a word of the code or a log's name, never one of a client's choice. */
  readonly label?: "code" | "event" | "log" | "severity";
  /** Upper bounds of a histogram's buckets, rising; one more is for what lies beyond. */
  readonly buckets?: readonly number[];
}

/** One number of a process, as it stands now. */
export interface Sample<Name extends string = string> {
  readonly name: Name;
  readonly label?: string | undefined;
  /** Of a histogram, the sum of all that was observed. */
  readonly value: number;
  /** Of a histogram, how many observations each bucket has, without those of the buckets below it. */
  readonly counts?: readonly number[] | undefined;
}

/** What every process says of itself. */
export const PROCESS_METRICS = {
  redoubt_process_uptime_seconds: { type: "gauge", help: "Seconds since the process started" },
  redoubt_process_resident_memory_bytes: {
    type: "gauge",
    help: "Resident memory of the process",
  },
  redoubt_process_event_loop_busy_seconds_total: {
    type: "counter",
    help: "Seconds in which the event loop was not waiting; near one per second, everybody waits",
  },
  redoubt_events_total: {
    type: "counter",
    label: "event",
    help: "Events of the process by name, such as connection_refused or request_refused",
  },
  redoubt_events_left_out_total: {
    type: "counter",
    help: "Events of which only the number was written, because too many of one name came",
  },
} as const satisfies Readonly<Record<string, Metric>>;

/** The samples of `PROCESS_METRICS`. */
export function processSamples({
  byName,
  leftOut,
}: EventCounts): Sample<keyof typeof PROCESS_METRICS>[] {
  const busyMs = performance.eventLoopUtilization().active;
  return [
    { name: "redoubt_process_uptime_seconds", value: process.uptime() },
    { name: "redoubt_process_resident_memory_bytes", value: process.memoryUsage.rss() },
    { name: "redoubt_process_event_loop_busy_seconds_total", value: busyMs / 1000 },
    { name: "redoubt_events_left_out_total", value: leftOut },
    ...[...byName].map(
      ([label, value]) => ({ name: "redoubt_events_total", label, value }) as const,
    ),
  ];
}

/** The size of a file; 0 where there is none. */
export function fileBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Counts observations by size; it makes nothing new for any of them. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  read(): { readonly value: number; readonly counts: readonly number[] } {
    return { value: this.#sum, counts: [...this.#counts] };
  }
}
