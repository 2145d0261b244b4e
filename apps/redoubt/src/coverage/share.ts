/** From 0 to 1; null where `whole` is 0. */
export function shareOf(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

/** Never rounded up to the whole: 99.99 % is not covered. */
export function percent(share: number | null): string {
  return share === null ? "-" : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}
