const MAX_WAIT_MS = 30_000;

/** Lets everything happen that is ready, one event-loop turn after the other, until something is so. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + MAX_WAIT_MS;
  // oxlint-disable-next-line no-await-in-loop -- waiting is the point
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new Error(`It did not become so in time: ${isSo.toString()}`);
    // oxlint-disable-next-line no-await-in-loop -- each turn may be the one that makes it so
    await new Promise(setImmediate);
  }
}
