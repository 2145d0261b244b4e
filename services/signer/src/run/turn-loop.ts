import type { StandingFailure } from "./failure.ts";
import { Sleeper } from "./sleeper.ts";

export interface TurnLoopOptions {
  /** One turn. Returns whether the signer was ever ready; until then turns follow each other faster. */
  readonly turn: (isAsked: boolean) => Promise<boolean>;
  /** Resolves when there may be something new. */
  readonly waitForNews: (timeoutMs: number) => Promise<void>;
  readonly failure: StandingFailure;
}

const TURN_MS = 1000;
/** Until the first key is active somebody waits for the signer to start. */
const START_TURN_MS = 50;
/** The shortest pause: a ledger that answers every `wait` at once must not make this loop spin. */
const MIN_TURN_MS = 20;
const NEWS_WAIT_MS = 8000;
const RETRY_MS = [100, 200, 500, 1000, 2000] as const;
const LAST_RETRY_MS = 5000;

/** Turn after turn: every second, sooner when the registry grows, later after a failure. */
export class TurnLoop {
  readonly #options: TurnLoopOptions;
  readonly #sleeper = new Sleeper();
  #last: Promise<unknown> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();
  #isWaiting = false;
  #isClosed = false;

  constructor(options: TurnLoopOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** A turn now, after the one that is under way. */
  ask(): Promise<boolean> {
    return this.#inOrder(true);
  }

  async #run(): Promise<void> {
    const { failure } = this.#options;
    let failures = 0;
    while (!this.#isClosed) {
      try {
        const wasReady = await this.#inOrder(false);
        failures = 0;
        failure.over();
        await this.#untilNews(wasReady ? TURN_MS : START_TURN_MS);
      } catch (error) {
        if (!this.#isClosed) failure.found(error);
        await this.#sleeper.sleep(RETRY_MS[failures] ?? LAST_RETRY_MS);
        failures += 1;
      }
    }
  }

  #inOrder(isAsked: boolean): Promise<boolean> {
    const turn = this.#last.then(() => this.#options.turn(isAsked));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #untilNews(ms: number): Promise<void> {
    await this.#sleeper.sleep(MIN_TURN_MS);
    // One at a time and never waited for: a ledger that answers none must not stop this loop.
    if (!this.#isWaiting) void this.#waitForNews();
    await this.#sleeper.sleep(ms);
  }

  async #waitForNews(): Promise<void> {
    this.#isWaiting = true;
    try {
      await this.#options.waitForNews(NEWS_WAIT_MS);
    } catch {
      // The next turn asks the ledger itself, and says what is wrong.
    } finally {
      this.#isWaiting = false;
      this.#sleeper.wake();
    }
  }

  /** No further turn begins. */
  close(): void {
    this.#isClosed = true;
    this.#sleeper.close();
  }

  /** Resolves when the last turn is over: what it waits for must have been ended before. */
  async ended(): Promise<void> {
    await Promise.all([this.#running, this.#last]);
  }
}
