import type { Clock } from "./clock.ts";
import { errorLine } from "./errors.ts";

/** One business event of a process: a low-cardinality name and its fields. Never a token, key or secret. */
export type EventSink = (name: string, fields?: Readonly<Record<string, unknown>>) => void;

/** One field's text in a log; whoever sent it may have made it long. */
const MAX_TEXT = 8192;

/** Writes one JSON line per event. A field can neither replace what the line says of itself nor stop the writer. */
export function jsonLines(
  write: (line: string) => void,
  clock: Pick<Clock, "now">,
  service: string,
): EventSink {
  return (event, fields = {}) => {
    const own = { at: new Date(clock.now()).toISOString(), service, event };
    write(`${encodeLine(own, fields)}\n`);
  };
}

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
