import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { Operator } from "../operator.ts";
import { pause } from "./scene.ts";

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
