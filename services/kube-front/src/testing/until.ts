const MAX_WAIT_MS = 30_000;

/** Lets everything happen that is ready, until something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + MAX_WAIT_MS;
  while (!isSo()) {
    if (performance.now() > deadline)
      throw new Error(`It did not become so in time: ${isSo.toString()}`);
    // Each turn may be the one that makes it so.
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
