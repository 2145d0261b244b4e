import { setTimeout as pause } from "node:timers/promises";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { Operator } from "../operator.ts";

export type AlarmFilter = (alarm: JsonObject) => boolean;

const POLL_MS = 500;

export async function readAlarms(operator: Operator, filter: object): Promise<JsonObject[]> {
  const { alarms } = await operator.ask("monitor", { op: "alarms", limit: 1000, ...filter });
  return Array.isArray(alarms) ? alarms.filter(isJsonObject) : [];
}

/** Reads the monitor's alarms until one fits or the time is over. */
export async function waitForAlarm(
  operator: Operator,
  filter: object,
  fits: AlarmFilter,
  timeoutMs: number,
): Promise<JsonObject | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = (await readAlarms(operator, filter)).find(fits);
    if (found || performance.now() > deadline) return found;
    await pause(POLL_MS);
  }
}

/** How many refusals of signers the monitor knows of: repeats are counted into one alarm. */
export async function countRefusals(operator: Operator): Promise<number> {
  const alarms = await readAlarms(operator, {});
  return alarms
    .filter(({ kind }) => kind === "signer-refusal")
    .reduce((sum, { count }) => sum + (typeof count === "number" ? count : 1), 0);
}
