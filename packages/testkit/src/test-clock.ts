import type { Clock } from "@redoubt/base";

/** A clock that stands still until a test moves it. */
export class TestClock implements Clock {
  #wallMs = Date.UTC(2026, 10, 23, 12);
  #monotonicMs = 1000;

  now(): number {
    return this.#wallMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  get seconds(): number {
    return Math.floor(this.#wallMs / 1000);
  }

  /** Time passes. */
  forward(seconds: number): void {
    this.#wallMs += seconds * 1000;
    this.#monotonicMs += seconds * 1000;
  }

  /** Somebody sets the clock. */
  set(bySeconds: number): void {
    this.#wallMs += bySeconds * 1000;
  }
}
