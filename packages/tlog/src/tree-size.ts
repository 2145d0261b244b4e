/** Sizes and indexes are JavaScript numbers: 2^53 - 1 entries at one million a second take 285 years. */
export const MAX_TREE_SIZE: number = Number.MAX_SAFE_INTEGER;

export function isTreeSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** C2SP tlog-checkpoint: ASCII decimal without leading zeroes. Anything else, or too large, is `undefined`. */
export function parseTreeSize(text: string): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) return undefined;
  const value = Number(text);
  return isTreeSize(value) ? value : undefined;
}

/** The largest power of two below `n` (n ≥ 2): where RFC 6962 §2.1 splits a tree of n entries. */
export function splitPoint(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
