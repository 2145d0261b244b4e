import { setTimeout as pause } from "node:timers/promises";
import { ServiceError } from "@redoubt/base";
import {
  ask,
  MONITOR,
  MONITOR_LIMITS,
  WireError,
  type Answered,
  type Requester,
} from "@redoubt/wire";
import { EXIT, type CommandContext } from "./command.ts";
import { withOperator } from "./operator.ts";
import { isListening, notRunning } from "./running.ts";
import { instant, table } from "./table.ts";

export interface ListOptions {
  readonly since?: number;
  readonly digest?: string;
  readonly all?: boolean;
  readonly follow?: boolean;
}
export interface CloseOptions {
  readonly digest?: string;
  readonly reason: string;
}

const FOLLOW_MS = 1000;

export function listAlarms(context: CommandContext, options: ListOptions): Promise<number> {
  const { all = false, follow = false, ...filter } = options;
  return withOperator(context, async (operator, { ports }) => {
    const monitor = operator.client("monitor");
    if (follow) {
      const isUp = () => isListening(ports.status);
      return await followAlarms({ monitor, isUp }, filter, context);
    }
    const found = await readAlarms(monitor, filter);
    const shown = all ? found : found.filter(isOpen);
    const openCritical = found.filter(isOpenCritical).length;
    context.terminal.result({
      json: { alarms: shown, openCritical },
      text: shown.length === 0 ? noAlarm(all) : alarmTable(shown),
    });
    return openCritical > 0 ? EXIT.attention : EXIT.ok;
  });
}

function noAlarm(all: boolean): string {
  return all ? "No alarm was ever raised" : "No open alarm; --all shows closed ones too";
}

interface Watched {
  readonly monitor: Requester;
  readonly isUp: () => Promise<boolean>;
}

/** Prints one line for each alarm as soon as the monitor has it. Waits for a monitor that is being started again. */
async function followAlarms(
  { monitor, isUp }: Watched,
  filter: AlarmFilter,
  { folder, terminal }: CommandContext,
): Promise<never> {
  let since = filter.since ?? 0;
  for (;;) {
    try {
      const { alarms, next } = await readAlarmPage(monitor, { ...filter, since });
      for (const alarm of alarms) terminal.line({ json: alarm, text: alarmLine(alarm) });
      since = Math.max(since, next);
      if (alarms.length === 0) await pause(FOLLOW_MS);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      if (!(await isUp())) throw notRunning(folder);
      await pause(FOLLOW_MS);
    }
  }
}

/** THREAT-31: the digest must be named, so that nobody closes an incident unread. */
export function closeAlarm(
  context: CommandContext,
  alarm: number,
  { digest, reason }: CloseOptions,
): Promise<number> {
  return withOperator(context, async (operator) => {
    await ask(operator.client("monitor"), MONITOR.close, { alarm, digest, reason });
    context.terminal.result({ json: { closed: alarm }, text: `Alarm ${alarm} is closed` });
    return EXIT.ok;
  });
}

/** An alarm as the monitor tells it. */
export type Alarm = Answered<typeof MONITOR.alarms>["alarms"][number];

export interface AlarmFilter {
  /** Only alarms with a larger id. */
  readonly since?: number;
  readonly digest?: string;
}

const MAX_PAGES = 1000;

/** One page; `next` is what the following page starts after. */
function readAlarmPage(
  monitor: Requester,
  filter: AlarmFilter,
): Promise<Answered<typeof MONITOR.alarms>> {
  return ask(monitor, MONITOR.alarms, { ...filter, limit: MONITOR_LIMITS.alarms });
}

/** Every alarm that fits, oldest first. @throws ServiceError `ERR_ALARMS` where `maxPages` do not hold them */
export async function readAlarms(
  monitor: Requester,
  filter: AlarmFilter = {},
  maxPages = MAX_PAGES,
): Promise<Alarm[]> {
  const all: Alarm[] = [];
  let since = filter.since ?? 0;
  for (let page = 0; page < maxPages; page += 1) {
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

/** One alarm as a line, for `--follow`. */
function alarmLine(alarm: Alarm): string {
  return table([alarmRow(alarm)]);
}
