import type { Clock } from "./clock.ts";
import { errorLine } from "./errors.ts";

/**
 * What an event is to whoever looks into what happened, and who can cause it.
 * - `security`: how keys, logs, rights and evidence fared: kept apart and longest, away from what the others write.
 * - `operation`: how the process fared.
 * - `stranger`: what anybody can cause without a credential, as often as they like.
 */
export type EventClass = "security" | "operation" | "stranger";

/** One business event of a process: a low-cardinality name and its fields. Never a token, key or secret. */
export type EventSink<Name extends string = string> = (
  name: Name,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** The class of each name of an event. A name that is in no table does not compile; written all the same, it is `security`. */
export type EventClasses<Name extends string = string> = Readonly<Record<Name, EventClass>>;

/**
 * How many events of one name are written in full, and within how many seconds (THREAT-26). The others of that time become
 * one line with their number, so that a flood of one name does not fill the file in which others stand.
 */
export const FULL_LINES: Readonly<
  Record<EventClass, { readonly lines: number; readonly seconds: number }>
> = {
  security: { lines: 1000, seconds: 600 },
  operation: { lines: 100, seconds: 60 },
  stranger: { lines: 5, seconds: 60 },
};

/** One field's text in a log; whoever sent it may have made it long. */
const MAX_TEXT = 8192;

export interface EventLinesOptions<Name extends string> {
  readonly write: (line: string) => void;
  readonly clock: Clock;
  readonly service: string;
  readonly classes: EventClasses<Name>;
}

/** How many events there were since the start. */
export interface EventCounts {
  readonly byName: ReadonlyMap<string, number>;
  /** Those of them that were only counted. */
  readonly leftOut: number;
}

/** What was written of one name since `startedAt`, in monotonic milliseconds. */
interface Counted {
  readonly startedAt: number;
  lines: number;
  leftOut: number;
  timer?: NodeJS.Timeout;
}

/** Writes one JSON line per event, and one with a count for all that are too many of their name. */
export class EventLines<Name extends string> implements Disposable {
  readonly #options: EventLinesOptions<Name>;
  /** By name. Names come from the code, so there are few. */
  readonly #counted = new Map<string, Counted>();
  readonly #totals = new Map<string, number>();
  #leftOut = 0;

  constructor(options: EventLinesOptions<Name>) {
    this.#options = options;
  }

  readonly sink: EventSink<Name> = (event, fields = {}) => {
    const { seconds, lines } = FULL_LINES[this.#classOf(event)];
    this.#totals.set(event, (this.#totals.get(event) ?? 0) + 1);
    const counted = this.#count(event, seconds);
    if (counted.lines < lines) {
      counted.lines += 1;
      return this.#write(event, fields);
    }
    counted.leftOut += 1;
    this.#leftOut += 1;
    counted.timer ??= setTimeout(() => this.#tellLeftOut(event, counted), seconds * 1000).unref();
  };

  get counts(): EventCounts {
    return { byName: this.#totals, leftOut: this.#leftOut };
  }

  #count(event: string, seconds: number): Counted {
    const now = this.#options.clock.monotonic();
    const counted = this.#counted.get(event);
    if (counted && now - counted.startedAt < seconds * 1000) return counted;
    if (counted) this.#tellLeftOut(event, counted);
    const fresh = { startedAt: now, lines: 0, leftOut: 0 };
    this.#counted.set(event, fresh);
    return fresh;
  }

  #tellLeftOut(event: string, counted: Counted): void {
    clearTimeout(counted.timer);
    delete counted.timer;
    const { leftOut, startedAt } = counted;
    if (leftOut === 0) return;
    counted.leftOut = 0;
    const seconds = Math.ceil((this.#options.clock.monotonic() - startedAt) / 1000);
    this.#write(event, { leftOut, seconds });
  }

  #write(event: string, fields: Readonly<Record<string, unknown>>): void {
    const { write, clock, service } = this.#options;
    const at = new Date(clock.now()).toISOString();
    write(`${encodeLine({ at, service, class: this.#classOf(event), event }, fields)}\n`);
  }

  /** A name that no table has may be anything: it is kept with what matters most. */
  #classOf(event: string): EventClass {
    const classes: Readonly<Record<string, EventClass | undefined>> = this.#options.classes;
    return Object.hasOwn(classes, event) ? (classes[event] ?? "security") : "security";
  }

  /** Says what was left out until now: nothing more is to come. */
  [Symbol.dispose](): void {
    for (const [event, counted] of this.#counted) this.#tellLeftOut(event, counted);
  }
}

/** A field can neither replace what the line says of itself nor stop the writer. */
function encodeLine(own: object, fields: Readonly<Record<string, unknown>>): string {
  try {
    // Twice: the first gives the order, the second keeps a field from posing as the event.
    return JSON.stringify({ ...own, ...fields, ...own }, loggable);
  } catch (error) {
    return JSON.stringify({ ...own, unwritable: errorLine(error) });
  }
}

function loggable(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Error) return errorLine(value);
  if (typeof value === "string" && value.length > MAX_TEXT) return `${value.slice(0, MAX_TEXT)}…`;
  return value;
}
