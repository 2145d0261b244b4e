import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** What another process reaches, on a machine with twice the work; within the time limit of one test. */
export const SETTLE_MS = 45_000;
const POLL_MS = 100;

/** Looks again until what is seen fits, and returns that; a failure shows what was seen last. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  fits: (seen: T) => boolean,
): Promise<T> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const seen = await look();
    if (fits(seen)) return seen;
    if (performance.now() > deadline)
      assert.fail(`Not in ${SETTLE_MS} ms: ${what}; seen last: ${JSON.stringify(seen)}`);
    await pause(POLL_MS);
  }
}
