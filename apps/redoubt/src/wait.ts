import { setTimeout as pause } from "node:timers/promises";

/** Looks until what is seen is enough or the time is over, once at least; resolves with what was seen last. */
export async function lookUntil<T>(
  look: () => Promise<T>,
  isEnough: (seen: T) => boolean,
  { timeoutMs, pollMs }: { readonly timeoutMs: number; readonly pollMs: number },
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- each look follows a pause
    const seen = await look();
    if (isEnough(seen) || performance.now() > deadline) return seen;
    // oxlint-disable-next-line no-await-in-loop -- the pause
    await pause(pollMs);
  }
}
