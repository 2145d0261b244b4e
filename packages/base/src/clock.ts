/** Source of time; injected, so that tests own it. */
export interface Clock {
  /** Milliseconds since the epoch; may jump in either direction. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

export function nowSeconds(clock: Pick<Clock, "now">): number {
  return Math.floor(clock.now() / 1000);
}
