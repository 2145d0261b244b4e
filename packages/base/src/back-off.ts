/**
 * Milliseconds to wait after so many failures in a row: `firstMs` after the first, twice as long after each further one,
 * at most `maxMs`; 0 where nothing has failed.
 */
export function backOffMs(
  failures: number,
  { firstMs, maxMs }: { readonly firstMs: number; readonly maxMs: number },
): number {
  return failures < 1 ? 0 : Math.min(maxMs, firstMs * 2 ** (failures - 1));
}
