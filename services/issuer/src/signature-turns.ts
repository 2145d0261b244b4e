import type { Clock } from "@redoubt/base";
import { FairQueue } from "./fair-queue.ts";
import { FailureLimiter, type FailureLimits } from "./failure-limiter.ts";

interface Waiting {
  readonly address: string;
  readonly start: () => void;
}

/** Twenty at once, then two a second: what a client with a wrong key needs, and 0.02 % of a core. */
const LIMITS: Partial<FailureLimits> = { burst: 20, intervalMs: 500 };
const PER_ADDRESS = 64;
const TOTAL = 256;

/**
 * When the signature of an assertion is checked, the one costly step that strangers can cause (THREAT-39): at once, or,
 * where too many signatures from its address were wrong, one of all such addresses in each turn of the event loop, these
 * in turns among themselves. Nothing is refused: where no more may wait, one that would is checked at once.
 */
export class SignatureTurns {
  readonly #wrong: FailureLimiter;
  readonly #queue = new FairQueue<Waiting>({
    batch: 1,
    perClient: PER_ADDRESS,
    total: TOTAL,
    clientOf: ({ address }) => address,
    refuse: ({ start }) => start(),
  });
  #isScheduled = false;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#wrong = new FailureLimiter(clock, LIMITS);
  }

  /** Undefined for at once. */
  turn(address: string): Promise<void> | undefined {
    if (!this.#wrong.isSpent(address)) return undefined;
    return new Promise((start) => {
      this.#queue.push({ address, start });
      this.#schedule();
    });
  }

  /** A signature that came from there was checked for nothing. */
  wasted(address: string): void {
    this.#wrong.fail(address);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#queue.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (const { start } of this.#queue.take(1)) start();
      this.#schedule();
    });
  }
}
