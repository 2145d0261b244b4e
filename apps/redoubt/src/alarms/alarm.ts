import { isJsonObject, MemberReader, ServiceError } from "@redoubt/base";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import { instant, table } from "../table.ts";

/** An alarm as the monitor tells it; `raw` is all of it, for programs. */
export interface AlarmView {
  readonly id: number;
  readonly at: number;
  readonly kind: string;
  readonly severity: string;
  readonly digest?: string;
  readonly detail: JsonValue;
  readonly count: number;
  readonly isOpen: boolean;
  readonly raw: JsonObject;
}

/** Asks the monitor as the operator. */
export type AskMonitor = (head: object) => Promise<JsonObject>;

export interface AlarmFilter {
  /** Only alarms with a larger id. */
  readonly since?: number;
  readonly digest?: string;
}

const PAGE = 1000;
const MAX_PAGES = 1000;

export function parseAlarm(value: JsonValue): AlarmView {
  const raw = isJsonObject(value) ? value : {};
  const reader = new MemberReader(raw, "alarm");
  const digest = reader.optionalString("digest", 64);
  return {
    id: reader.integer("id", 0, Number.MAX_SAFE_INTEGER),
    at: reader.integer("at", 0, Number.MAX_SAFE_INTEGER),
    kind: reader.string("kind", 64),
    severity: reader.string("severity", 32),
    count: reader.integer("count", 0, Number.MAX_SAFE_INTEGER),
    detail: raw["detail"] ?? null,
    isOpen: !reader.has("closed"),
    ...(digest === undefined ? {} : { digest }),
    raw,
  };
}

/** One page; `next` is what the following page starts after. */
export async function readAlarmPage(
  ask: AskMonitor,
  filter: AlarmFilter,
): Promise<{ readonly alarms: readonly AlarmView[]; readonly next: number }> {
  const answer = new MemberReader(await ask({ op: "alarms", ...filter, limit: PAGE }), "alarms");
  return {
    alarms: answer.array("alarms", PAGE).map(parseAlarm),
    next: answer.integer("next", 0, Number.MAX_SAFE_INTEGER),
  };
}

/** Every alarm that fits, oldest first. */
export async function readAlarms(ask: AskMonitor, filter: AlarmFilter = {}): Promise<AlarmView[]> {
  const all: AlarmView[] = [];
  let since = filter.since ?? 0;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { alarms, next } = await readAlarmPage(ask, { ...filter, since });
    if (alarms.length === 0) return all;
    all.push(...alarms);
    if (next <= since) break;
    since = next;
  }
  throw new ServiceError("ERR_ALARMS", "Monitor tells the same alarms again and again");
}

export function isOpenCritical({ isOpen, severity }: AlarmView): boolean {
  return isOpen && severity === "critical";
}

const HEADING = ["ID", "SINCE", "SEVERITY", "KIND", "COUNT", "DIGEST", "DETAIL"] as const;

export function alarmTable(alarms: readonly AlarmView[]): string {
  return table([HEADING, ...alarms.map(alarmRow)]);
}

function alarmRow({ id, at, severity, kind, count, digest, detail, isOpen }: AlarmView): string[] {
  const state = isOpen ? severity : `${severity} (closed)`;
  return [
    String(id),
    instant(at),
    state,
    kind,
    String(count),
    digest ?? "-",
    JSON.stringify(detail),
  ];
}

/** The same in one line, for a list that grows. */
export function alarmLine(alarm: AlarmView): string {
  return table([alarmRow(alarm)]);
}
