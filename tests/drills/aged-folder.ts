import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { REALMS } from "@redoubt/cli";
import { compose, MovableClock } from "./compose.ts";

const SETTLE_MS = 15_000;
/** The longest lead of a standby in the one-machine profile, and an hour. */
export const LEAD_SECONDS = 7 * 3600;

/**
 * Fills a data folder as a system that was set up `seconds` ago and then stopped would have left it: a real system
 * that starts on it finds standbys that every verifier had time to learn of.
 */
export async function makeAgedFolder(
  place: { readonly folder: string; readonly port: number },
  seconds = LEAD_SECONDS,
): Promise<void> {
  const clock = new MovableClock();
  clock.forward(-1000 * seconds);
  mkdirSync(place.folder, { mode: 0o700 });
  await using system = await compose({
    clock,
    place,
    withoutIssuers: true,
    withoutPublisher: true,
  });
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const { keys } = await system.operator.readRegistry();
    const standbys = [...keys.values()].filter(({ state }) => state === "prepublished");
    if (standbys.length === REALMS.length) return;
    assert.ok(performance.now() < deadline, "no standbys were published");
    await pause(50);
  }
}
