import type { TpmHash } from "../tpm/algorithms.ts";
import { findEfiVariable } from "./efi-variable.ts";
import { type BootEvent, EVENT_TYPES, type EventLog } from "./event-log.ts";
import { replay } from "./replay.ts";

/** One difference between two boots, in words. Text of the logs is escaped and bounded. */
export interface BootDifference {
  readonly register: number;
  readonly kind: "changed" | "added" | "removed" | "order";
  /** What the event is: `variable SecureBoot`, `boot application`. */
  readonly what: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const MAX_TEXT = 160;

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [0x1, "firmware code"],
  [0x4, "separator"],
  [0x5, "action"],
  [0x6, "tagged event"],
  [0x7, "firmware code"],
  [0x8, "firmware version"],
  [0xa, "platform configuration"],
  [0xd, "loader"],
  [0x10, "host's own data"],
  [0x11, "host's own data"],
  [0x8000_0001, "variable"],
  [0x8000_0002, "boot variable"],
  [0x8000_0003, "boot application"],
  [0x8000_0004, "boot driver"],
  [0x8000_0006, "partition table"],
  [0x8000_0007, "action"],
  [0x8000_0008, "firmware volume"],
  [0x8000_000a, "firmware volume"],
  [0x8000_000b, "platform configuration"],
  [0x8000_000c, "boot variable"],
  [0x8000_00e0, "authority"],
]);

const TRUE = Buffer.of(1);

/**
 * Says what differs between two boots of one kind, register by register: events that are gone, new, or that measured
 * something else in the same place. Empty where all registers end alike.
 */
export function explainDifference(
  before: EventLog,
  after: EventLog,
  bank: TpmHash,
): readonly BootDifference[] {
  const [old, now] = [replay(before, bank), replay(after, bank)];
  const registers = [...new Set([...old.keys(), ...now.keys()])].toSorted((a, b) => a - b);
  return registers
    .filter((register) => old.get(register)?.equals(now.get(register) ?? Buffer.alloc(0)) !== true)
    .flatMap((register) =>
      differencesOf(register, eventsOf(before, register), eventsOf(after, register), bank),
    );
}

function eventsOf({ events }: EventLog, register: number): readonly BootEvent[] {
  return events.filter(
    (event) => event.register === register && event.type !== EVENT_TYPES.noAction,
  );
}

/** Events of the same kind and name are one thing that changed; the rest was added or removed. */
function differencesOf(
  register: number,
  before: readonly BootEvent[],
  after: readonly BootEvent[],
  bank: TpmHash,
): readonly BootDifference[] {
  const gone = without(before, after, bank);
  const fresh = without(after, before, bank);
  // The same events, and another value: only their order, or how PCR 0 started, can differ.
  if (gone.length === 0 && fresh.length === 0)
    return [
      {
        register,
        kind: "order",
        what: "the same events in another order, or another start",
        before: undefined,
        after: undefined,
      },
    ];
  const byName = Map.groupBy(fresh, nameOf);
  const matches = new Map<BootEvent, BootEvent>();
  for (const event of gone) {
    const match = byName.get(nameOf(event))?.shift();
    if (match !== undefined) matches.set(event, match);
  }
  const matched = new Set(matches.values());
  const changedOrRemoved = gone.map((event): BootDifference => {
    const match = matches.get(event);
    return {
      register,
      kind: match === undefined ? "removed" : "changed",
      what: nameOf(event),
      before: textOf(event, bank),
      after: match === undefined ? undefined : textOf(match, bank),
    };
  });
  const added = fresh
    .filter((event) => !matched.has(event))
    .map((event): BootDifference => ({
      register,
      kind: "added",
      what: nameOf(event),
      before: undefined,
      after: textOf(event, bank),
    }));
  return [...changedOrRemoved, ...added];
}

/** The events of `one` that `other` has not, each as often as it is missing. */
function without(
  one: readonly BootEvent[],
  other: readonly BootEvent[],
  bank: TpmHash,
): readonly BootEvent[] {
  const counts = new Map<string, number>();
  for (const event of other)
    counts.set(digest(event, bank), (counts.get(digest(event, bank)) ?? 0) + 1);
  return one.filter((event) => {
    const left = counts.get(digest(event, bank)) ?? 0;
    counts.set(digest(event, bank), left - 1);
    return left <= 0;
  });
}

function digest({ digests }: BootEvent, bank: TpmHash): string {
  return digests.get(bank)?.toString("hex") ?? "";
}

/** One line about an event, escaped and bounded. */
export function describeEvent(event: BootEvent): string {
  const [bank = "sha256"] = event.digests.keys();
  return event.type === EVENT_TYPES.noAction
    ? "not measured"
    : `${nameOf(event)}: ${textOf(event, bank)}`;
}

function nameOf(event: BootEvent): string {
  const type = TYPE_NAMES.get(event.type) ?? `event 0x${event.type.toString(16)}`;
  const name = variableOf(event)?.name ?? loaderPrefix(event);
  return name === undefined ? type : `${type} ${printable(name)}`;
}

/** "kernel_cmdline: …" is one thing, whatever follows. */
function loaderPrefix({ type, data }: BootEvent): string | undefined {
  return type === EVENT_TYPES.ipl
    ? /^[a-z_]{3,20}(?=: )/.exec(data.toString("latin1"))?.[0]
    : undefined;
}

function variableOf({ type, data }: BootEvent) {
  const isVariable = TYPE_NAMES.get(type)?.endsWith("variable") === true || type === 0x8000_00e0;
  return isVariable ? findEfiVariable(data) : undefined;
}

function textOf(event: BootEvent, bank: TpmHash): string {
  const variable = variableOf(event);
  if (variable?.name === "SecureBoot") return variable.value.equals(TRUE) ? "on" : "off";
  const isText =
    event.type === EVENT_TYPES.ipl ||
    event.type === EVENT_TYPES.efiAction ||
    event.type === EVENT_TYPES.eventTag;
  if (isText) return printable(event.data.toString("latin1"));
  if (event.type === EVENT_TYPES.crtmVersion) return printable(event.data.toString("utf16le"));
  return `digest ${digest(event, bank)}`;
}

function printable(text: string): string {
  const safe = text.replaceAll("\0", "").replaceAll(/[^ -~]/g, "?");
  return safe.length > MAX_TEXT ? `${safe.slice(0, MAX_TEXT)}...` : safe;
}
