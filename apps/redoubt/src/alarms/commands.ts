import { setTimeout as pause } from "node:timers/promises";
import { ServiceError } from "@redoubt/base";
import { ask, MONITOR, WireError, type Requester } from "@redoubt/wire";
import { EXIT, type CommandContext } from "../command.ts";
import { Operator } from "../operator.ts";
import { enterRunning, isListening, notRunning } from "../running.ts";
import {
  alarmLine,
  alarmTable,
  isOpen,
  isOpenCritical,
  readAlarmPage,
  readAlarms,
  type AlarmFilter,
} from "./alarm.ts";

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

export async function listAlarms(context: CommandContext, options: ListOptions): Promise<number> {
  const { settings, ports } = await enterRunning(context.folder);
  await using operator = new Operator("", settings);
  const monitor = operator.client("monitor");
  const { since, digest, all = false, follow = false } = options;
  const filter = {
    ...(since === undefined ? {} : { since }),
    ...(digest === undefined ? {} : { digest }),
  };
  // Awaited here: the operator's connections end with this function.
  if (follow)
    return await followAlarms({ monitor, isUp: () => isListening(ports.status) }, filter, context);
  const found = await readAlarms(monitor, filter);
  const shown = all ? found : found.filter(isOpen);
  const openCritical = found.filter(isOpenCritical).length;
  context.terminal.result({
    json: { alarms: shown, openCritical },
    text: shown.length === 0 ? noAlarm(all) : alarmTable(shown),
  });
  return openCritical > 0 ? EXIT.attention : EXIT.ok;
}

function noAlarm(all: boolean): string {
  return all ? "No alarm was ever raised" : "No open alarm; --all shows closed ones too";
}

interface Watched {
  readonly monitor: Requester;
  readonly isUp: () => Promise<boolean>;
}

/** Each alarm is one line, as soon as the monitor has it; a monitor that starts again is waited for. */
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
export async function closeAlarm(
  { folder, terminal }: CommandContext,
  alarm: number,
  { digest, reason }: CloseOptions,
): Promise<number> {
  if (reason.trim() === "") throw new ServiceError("ERR_OPTION", "--reason must say why");
  const { settings } = await enterRunning(folder);
  await using operator = new Operator("", settings);
  await ask(operator.client("monitor"), MONITOR.close, { alarm, digest, reason });
  terminal.result({ json: { closed: alarm }, text: `Alarm ${alarm} is closed` });
  return EXIT.ok;
}
