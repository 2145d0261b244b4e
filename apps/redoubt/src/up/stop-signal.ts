/**
 * Resolves when the supervisor is told to stop, by a signal or because its parent has gone; later ones change nothing.
 */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => resolve());
    process.on("disconnect", () => resolve());
  });
}
