import { ServiceError } from "@redoubt/base";
import { ask, MONITOR, MONITOR_LIMITS, type Answered, type Requester } from "@redoubt/wire";
import { instant, table } from "../table.ts";

/** An alarm as the monitor tells it. */
export type Alarm = Answered<typeof MONITOR.alarms>["alarms"][number];

export interface AlarmFilter {
  /** Only alarms with a larger id. */
  readonly since?: number;
  readonly digest?: string;
}

const MAX_PAGES = 1000;

/** One page; `next` is what the following page starts after. */
export function readAlarmPage(
  monitor: Requester,
  filter: AlarmFilter,
): Promise<Answered<typeof MONITOR.alarms>> {
  return ask(monitor, MONITOR.alarms, { ...filter, limit: MONITOR_LIMITS.alarms });
}

/** Every alarm that fits, oldest first. */
export async function readAlarms(monitor: Requester, filter: AlarmFilter = {}): Promise<Alarm[]> {
  const all: Alarm[] = [];
  let since = filter.since ?? 0;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { alarms, next } = await readAlarmPage(monitor, { ...filter, since });
    if (alarms.length === 0) return all;
    all.push(...alarms);
    if (next <= since) break;
    since = next;
  }
  throw new ServiceError("ERR_ALARMS", "Monitor tells the same alarms again and again");
}

export function isOpen({ closed }: Alarm): boolean {
  return closed === undefined;
}

export function isOpenCritical(alarm: Alarm): boolean {
  return isOpen(alarm) && alarm.severity === "critical";
}

const HEADING = ["ID", "SINCE", "SEVERITY", "KIND", "COUNT", "DIGEST", "DETAIL"] as const;

export function alarmTable(alarms: readonly Alarm[]): string {
  return table([HEADING, ...alarms.map(alarmRow)]);
}

function alarmRow(alarm: Alarm): string[] {
  const { id, at, severity, kind, count, digest, detail } = alarm;
  const state = isOpen(alarm) ? severity : `${severity} (closed)`;
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
export function alarmLine(alarm: Alarm): string {
  return table([alarmRow(alarm)]);
}
