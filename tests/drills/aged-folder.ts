import { mkdirSync } from "node:fs";
import { REALMS } from "@redoubt/cli";
import { until } from "../e2e/until.ts";
import { compose, MovableClock } from "./compose.ts";

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
  await until(
    "every realm has published a standby",
    async () => [...(await system.operator.readRegistry()).keys.values()].map(({ state }) => state),
    // Each has a ring for access tokens and one for ID tokens.
    (states) => states.filter((state) => state === "prepublished").length === 2 * REALMS.length,
  );
}
