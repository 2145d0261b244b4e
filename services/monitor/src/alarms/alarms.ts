import { nowSeconds, type Clock } from "@redoubt/base";
import { monitorError } from "../errors.ts";
import { alarmRaised, alarmRepeated, type MonitorEvents } from "../events.ts";
import { AlarmNotices } from "./alarm-notices.ts";
import { digestsOf, type AlarmQuery, type AlarmStore } from "./alarm-store.ts";
import {
  ALARM_SEVERITY,
  type Alarm,
  type AlarmInput,
  type AlarmKind,
  type AlarmOutlet,
  type Severity,
} from "./kinds.ts";

interface OpenAlarm {
  readonly id: number;
  readonly kind: AlarmKind;
  count: number;
  /** Hits since the row was last written. */
  unwritten: number;
  digests: number;
}

/** Open alarms of one kind; past it, hits of new subjects share one alarm. Whoever floods only raises that count. */
const MAX_OPEN_PER_KIND = 500;
const SHARED_SUBJECT = "(others)";
const MAX_PAGE_CHARS = 180_000;
/** Where no webhook is configured: then only the events say it. */
const NOWHERE: AlarmOutlet = { raised: () => true, updated: () => true, waiting: () => 0 };

/**
 * Raises, counts and closes alarms. A new alarm, and a new digest of a critical one, is durable when `raise` returns.
 * No alarm suppresses another: a hit after closing is a new alarm, and a new digest is told of although its alarm is
 * open (THREAT-31).
 */
export class Alarms {
  readonly #store: AlarmStore;
  readonly #clock: Pick<Clock, "now">;
  readonly #events: MonitorEvents;
  readonly #notices: AlarmNotices;
  readonly #open = new Map<string, OpenAlarm>();
  readonly #perKind = new Map<AlarmKind, number>();
  readonly #dirty = new Set<OpenAlarm>();

  constructor(parts: {
    readonly store: AlarmStore;
    readonly clock: Pick<Clock, "now">;
    readonly active: () => number;
    readonly events: MonitorEvents;
    readonly outlet?: AlarmOutlet;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#events = parts.events;
    const { outlet = NOWHERE } = parts;
    this.#notices = new AlarmNotices({ ...parts, outlet });
    for (const { id, kind, subject, count, digests } of this.#store.open())
      if (isAlarmKind(kind)) this.#remember(subject, { id, kind, count, unwritten: 0, digests });
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** None is said, too: an alert on a number that is not there never ends. */
  openBySeverity(): ReadonlyMap<Severity, number> {
    const counts = new Map<Severity, number>([
      ["critical", 0],
      ["warning", 0],
      ["notice", 0],
    ]);
    for (const [kind, count] of this.#perKind) {
      const severity = ALARM_SEVERITY[kind];
      counts.set(severity, (counts.get(severity) ?? 0) + count);
    }
    return counts;
  }

  isOpen(kind: AlarmKind, subject: string): boolean {
    return this.#open.has(keyOf(kind, subject));
  }

  raise(input: AlarmInput): void {
    const known = this.#open.get(keyOf(input.kind, input.subject));
    if (known) return this.#repeat(known, input);
    if ((this.#perKind.get(input.kind) ?? 0) < MAX_OPEN_PER_KIND) return this.#insert(input);
    const shared = this.#open.get(keyOf(input.kind, SHARED_SUBJECT));
    if (shared) return this.#repeat(shared, input);
    this.#insert({ ...input, subject: SHARED_SUBJECT });
  }

  /** For a state that lasts: raised once, ended by `recover`. */
  raiseState(input: AlarmInput): void {
    if (!this.isOpen(input.kind, input.subject)) this.raise(input);
  }

  recover(kind: AlarmKind, subject: string): void {
    const key = keyOf(kind, subject);
    const open = this.#open.get(key);
    if (open) this.#end(key, open, "recovered");
  }

  /** Writes the counts of repeated alarms, and tells of what is new; called once per tick. */
  flush(): void {
    this.#writeCounts();
    this.#notices.flush();
  }

  /** At most `limit`, and no more than one answer holds; `next` continues. */
  list(query: AlarmQuery): { alarms: Alarm[]; next: number } {
    this.#writeCounts();
    const alarms: Alarm[] = [];
    let next = query.since ?? 0;
    let chars = 0;
    for (const alarm of this.#store.list(query)) {
      chars += JSON.stringify(alarm).length;
      if (chars > MAX_PAGE_CHARS && alarms.length > 0) break;
      alarms.push(alarm);
      next = alarm.id;
    }
    return { alarms, next };
  }

  /**
   * THREAT-31: an incident closes only by somebody who names its digest, so that no list of old incidents can be
   * closed unread.
   */
  close(request: {
    readonly alarm: number;
    readonly digest?: string | undefined;
    readonly reason: string;
  }): void {
    this.#writeCounts();
    const alarm = this.#store.get(request.alarm);
    if (!alarm || alarm.closed !== undefined)
      throw monitorError("ERR_MONITOR_ALARM", "No such open alarm");
    if (alarm.digest !== request.digest)
      throw monitorError("ERR_MONITOR_ALARM", "Closing must name the digest of the alarm");
    for (const [key, open] of this.#open)
      if (open.id === alarm.id) return this.#end(key, open, request.reason);
  }

  #writeCounts(): void {
    const at = nowSeconds(this.#clock);
    for (const alarm of this.#dirty) this.#store.addCount(alarm.id, alarm.unwritten, at);
    for (const alarm of this.#dirty) alarm.unwritten = 0;
    this.#dirty.clear();
  }

  #insert(input: AlarmInput): void {
    const { kind, subject, digests = [], count = 1 } = input;
    const id = this.#store.insert(input, nowSeconds(this.#clock));
    const kept = Math.min(digests.length, digestsOf(kind));
    this.#remember(subject, { id, kind, count, unwritten: 0, digests: kept });
    const alarm = this.#store.get(id);
    if (alarm) alarmRaised(this.#events, alarm);
    this.#notices.raised(id);
  }

  #repeat(open: OpenAlarm, input: AlarmInput): void {
    const { count = 1 } = input;
    const before = open.count;
    open.count += count;
    open.unwritten += count;
    this.#dirty.add(open);
    this.#addNew(open, input);
    // One line each time the count doubles: a flood cannot fill the disk with events.
    if (Math.floor(Math.log2(open.count)) === Math.floor(Math.log2(before))) return;
    const { id, kind } = open;
    alarmRepeated(this.#events, { id, kind, severity: ALARM_SEVERITY[kind], count: open.count });
  }

  /** A digest that the alarm holds already is nothing new. Every other hit counts as new. */
  #addNew(open: OpenAlarm, { digests = [], detail, count = 1 }: AlarmInput): void {
    const kept = digests.slice(0, Math.max(0, digestsOf(open.kind) - open.digests));
    this.#store.transaction(() => {
      const added = this.#store.addDigests(open.id, kept);
      open.digests += added;
      const fresh = count - (kept.length - added);
      if (ALARM_SEVERITY[open.kind] !== "critical" || fresh <= 0) return;
      this.#store.addFresh(open.id, fresh, detail);
      this.#store.addCount(open.id, open.unwritten, nowSeconds(this.#clock));
      open.unwritten = 0;
      this.#notices.added(open.id, added > 0);
    });
  }

  #end(key: string, open: OpenAlarm, how: string): void {
    this.#writeCounts();
    this.#notices.finish(open.id);
    this.#store.close(open.id, how);
    this.#open.delete(key);
    this.#perKind.set(open.kind, (this.#perKind.get(open.kind) ?? 1) - 1);
  }

  #remember(subject: string, open: OpenAlarm): void {
    this.#open.set(keyOf(open.kind, subject), open);
    this.#perKind.set(open.kind, (this.#perKind.get(open.kind) ?? 0) + 1);
  }
}

function keyOf(kind: AlarmKind, subject: string): string {
  return `${kind}\n${subject}`;
}

function isAlarmKind(kind: string): kind is AlarmKind {
  return Object.hasOwn(ALARM_SEVERITY, kind);
}
