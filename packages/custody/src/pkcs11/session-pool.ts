import { KeyError } from "@redoubt/keys";
import { SESSION_FLAGS, type Cryptoki, type Handle } from "./cryptoki.ts";

/** What a pool needs of the module. */
export interface SessionSource {
  readonly cryptoki: Pick<Cryptoki, "C_OpenSession" | "C_CloseSession">;
  during<T>(call: Promise<T>): Promise<T>;
}

export interface SessionPoolOptions {
  readonly module: SessionSource;
  /** Calls at once. */
  readonly sessions: number;
  /** For one call, and for the wait before it. */
  readonly timeoutMs: number;
}

/** Many times what a signer has under way. Whoever waits behind so many would only run into the time limit. */
const MAX_WAITING = 4096;

/** Sessions for calls that run in the thread pool: a session does one thing at a time. */
export class SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #idle: Handle[] = [];
  /** Calls under way. */
  #busy = 0;
  /** Counts `drop`s: a session that was opened before the last one is not used again. */
  #era = 0;
  #isClosed = false;
  #whenQuiet: PromiseWithResolvers<void> | undefined;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
  }

  /**
   * @throws KeyError `ERR_KEY_BUSY` where no session comes free, or the call does not end, in time: a call that hangs
   *   in the token keeps its session until it ends
   */
  async use<T>(slot: Handle, run: (session: Handle) => Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(busy("Token does not answer in time")),
      this.#options.timeoutMs,
    );
    try {
      await this.#takeSeat(late.promise);
      return await Promise.race([this.#call(slot, run), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Forgets all sessions, which were lost. `isVoid`: their numbers may be somebody else's, so they are not closed. */
  drop(isVoid: boolean): void {
    this.#era += 1;
    const idle = this.#idle;
    this.#idle = [];
    if (!isVoid) for (const session of idle) this.#closeSession(session);
  }

  /** Refuses those who wait, and waits for the calls under way, for one that hangs no longer than `timeoutMs`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(busy("Custody is closed"));
    if (this.#busy === 0) return;
    this.#whenQuiet = Promise.withResolvers();
    const timer = setTimeout(this.#whenQuiet.resolve, this.#options.timeoutMs);
    await this.#whenQuiet.promise;
    clearTimeout(timer);
  }

  async #takeSeat(late: Promise<never>): Promise<void> {
    if (this.#isClosed) throw busy("Custody is closed");
    if (this.#busy < this.#options.sessions) {
      this.#busy += 1;
      return;
    }
    if (this.#waiting.length >= MAX_WAITING) throw busy("Too many calls wait for the token");
    const seat = Promise.withResolvers<void>();
    this.#waiting.push(seat);
    try {
      await Promise.race([seat.promise, late]);
    } catch (error) {
      const place = this.#waiting.indexOf(seat);
      if (place >= 0) this.#waiting.splice(place, 1);
      // The seat was given at the same moment: it goes to the next one.
      else if (!this.#isClosed) this.#leaveSeat();
      throw error;
    }
  }

  #leaveSeat(): void {
    const next = this.#waiting.shift();
    if (next) return next.resolve();
    this.#busy -= 1;
    if (this.#busy === 0) this.#whenQuiet?.resolve();
  }

  async #call<T>(slot: Handle, run: (session: Handle) => Promise<T>): Promise<T> {
    const era = this.#era;
    const { module } = this.#options;
    let session: Handle | undefined;
    let isWell = false;
    try {
      session = this.#idle.pop() ?? module.cryptoki.C_OpenSession(slot, SESSION_FLAGS);
      const result = await module.during(run(session));
      isWell = true;
      return result;
    } finally {
      if (session && isWell && era === this.#era && !this.#isClosed) this.#idle.push(session);
      else if (session) this.#closeSession(session);
      this.#leaveSeat();
    }
  }

  #closeSession(session: Handle): void {
    try {
      this.#options.module.cryptoki.C_CloseSession(session);
    } catch {
      // It went with the token.
    }
  }
}

function busy(message: string): KeyError {
  return new KeyError("ERR_KEY_BUSY", message, { retryAfterSeconds: 1 });
}
