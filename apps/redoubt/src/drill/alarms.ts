import { readAlarms as readAll, type Alarm, type AlarmFilter } from "../alarms.ts";
import type { Operator } from "../operator.ts";
import { lookUntil } from "../wait.ts";

export function readAlarms(operator: Operator, filter: AlarmFilter): Promise<Alarm[]> {
  return readAll(operator.client("monitor"), filter);
}

/** Reads the monitor's alarms until one fits or the time is over. */
export async function waitForAlarm(
  operator: Operator,
  filter: AlarmFilter,
  fits: (alarm: Alarm) => boolean,
  timeoutMs: number,
): Promise<Alarm | undefined> {
  return lookUntil(
    async () => (await readAlarms(operator, filter)).find(fits),
    (alarm) => alarm !== undefined,
    { timeoutMs, pollMs: 500 },
  );
}

/** How many refusals by signers the monitor knows of. Each alarm counts its repetitions. */
export async function countRefusals(operator: Operator): Promise<number> {
  const alarms = await readAlarms(operator, {});
  return alarms
    .filter(({ kind }) => kind === "signer-refusal")
    .reduce((sum, { count }) => sum + count, 0);
}
