import { setTimeout as pause } from "node:timers/promises";
import { isJsonObject, type JsonValue } from "@redoubt/verify/json";

const LOOK_MS = 1000;

/** Whether the monitor has judged everything in time: no entry and no delivery waits for its other half. */
export async function settled(
  look: () => Promise<{ readonly pending?: JsonValue | undefined } | undefined>,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const pending = (await look())?.pending;
    if (isJsonObject(pending) && pending["deliveries"] === 0 && pending["entries"] === 0)
      return true;
    if (performance.now() > deadline) return false;
    await pause(LOOK_MS);
  }
}
