import { errorLine, type Clock, type Secret } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import {
  CKS_USER_FUNCTIONS,
  returnValue,
  SESSION_FLAGS,
  wayAfter,
  type Cryptoki,
  type Handle,
} from "./cryptoki.ts";
import type { Pkcs11Module } from "./module.ts";
import { SessionPool } from "./session-pool.ts";
import type { Token } from "./token.ts";

export interface ConnectionOptions {
  readonly module: Pkcs11Module;
  readonly tokenLabel: string;
  /** Read when it opens, and again once the token has refused what was read. */
  readonly pin: () => Secret;
  readonly sessions: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const MIN_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 30_000;

/**
 * One custodian's connection to its token. A call that finds its session lost, or the token away, connects anew and is made
 * again. While the token stays away, calls fail at once, and only after a pause does one of them look for it again.
 */
export class Connection {
  readonly token: Token;
  readonly #options: ConnectionOptions;
  readonly #cryptoki: Cryptoki;
  readonly #pool: SessionPool;
  #pin: Secret;
  #slot: Handle | undefined;
  /** The session that all calls of `run` share; it also keeps the login. */
  #desk: Handle | undefined;
  #generation = -1;
  #epoch = 0;
  #pauseMs = 0;
  #notBeforeMs = -Infinity;
  #problem: KeyError | undefined;

  /** @throws KeyError `ERR_KEY_MODULE`, `ERR_KEY_CUSTODY`, `ERR_KEY_DENIED`, `ERR_KEY_BUSY`; as `pin` */
  constructor(options: ConnectionOptions) {
    const { module, tokenLabel, sessions, timeoutMs } = options;
    this.#options = options;
    this.#pin = options.pin();
    this.#cryptoki = module.cryptoki;
    this.#pool = new SessionPool({ module, sessions, timeoutMs });
    this.token = module.token(tokenLabel);
    module.join();
    this.token.join();
    try {
      this.#connect();
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** Changes when handles of objects became void. */
  get epoch(): number {
    return this.#epoch;
  }

  get slot(): Handle {
    if (!this.#slot) throw this.#away();
    return this.#slot;
  }

  /**
   * Makes calls in the shared session, without a break. If the way to the token failed, `use` runs once more.
   *
   * @throws KeyError `ERR_KEY_BUSY` while the token is away, `ERR_KEY_CUSTODY` where it refused a call
   */
  run<T>(use: (session: Handle) => T): T {
    const session = this.#session();
    try {
      return use(session);
    } catch (error) {
      this.#heal(error);
    }
    try {
      return use(this.#session());
    } catch (error) {
      throw this.#settle(error);
    }
  }

  /** As `run`, for calls that run in the thread pool, in a session of their own. */
  async runAside<T>(use: (session: Handle) => Promise<T>): Promise<T> {
    this.#session();
    const before = this.#epoch;
    try {
      return await this.#pool.use(this.slot, use);
    } catch (error) {
      if (wayAfter(error) === "answered") throw this.#settle(error);
      // Another of those that failed together may have healed it meanwhile.
      if (before === this.#epoch) this.#heal(error);
    }
    try {
      return await this.#pool.use(this.slot, use);
    } catch (error) {
      throw this.#settle(error);
    }
  }

  /** For what was not found: a token that is away finds nothing either. */
  assertPresent(): void {
    if (!this.token.isIn(this.slot)) throw new Error("CKR_TOKEN_NOT_PRESENT");
  }

  async close(): Promise<void> {
    await this.#pool.close();
    this.#pool.drop(this.#isVoid);
    this.#leave();
  }

  #leave(): void {
    const session = this.#isVoid ? undefined : this.#desk;
    this.#desk = undefined;
    attempt(() => this.token.leave(session));
    if (session) attempt(() => this.#cryptoki.C_CloseSession(session));
    attempt(() => this.#options.module.leave());
  }

  /** After a new start of the module the number of an old session may be that of somebody else's. */
  get #isVoid(): boolean {
    return this.#generation !== this.#options.module.generation;
  }

  #session(): Handle {
    if (this.#desk && !this.#isVoid) return this.#desk;
    this.#reconnect();
    if (!this.#desk) throw this.#away();
    return this.#desk;
  }

  /** Connects anew, where needed, and returns if another attempt may help; otherwise throws. */
  #heal(error: unknown): void {
    const way = wayAfter(error);
    if (way === "answered") throw this.#settle(error);
    if (way === "lost" || !this.#renewDesk()) this.#reconnect();
  }

  /** The error for the caller, where no further attempt is made. */
  #settle(error: unknown): unknown {
    const name = returnValue(error);
    if (error instanceof KeyError || name === "") return error;
    if (wayAfter(error) === "answered")
      return new KeyError("ERR_KEY_CUSTODY", `Token ${this.token.label} refused a call: ${name}`, {
        cause: error,
      });
    this.#drop();
    return this.#away(error);
  }

  /** Replaces the shared session, in which the failed call may have left something; false where the token gives none. */
  #renewDesk(): boolean {
    const [slot, old] = [this.#slot, this.#desk];
    if (!slot || !old || !this.#isAlive(slot, old)) return false;
    try {
      // Before the old one goes: the last session takes the login with it.
      this.#desk = this.#cryptoki.C_OpenSession(slot, SESSION_FLAGS);
    } catch {
      return false;
    }
    attempt(() => this.#cryptoki.C_CloseSession(old));
    this.#epoch += 1;
    return true;
  }

  #isAlive(slot: Handle, session: Handle): boolean {
    try {
      const { state } = this.#cryptoki.C_GetSessionInfo(session);
      return this.token.isIn(slot) && CKS_USER_FUNCTIONS.includes(state);
    } catch {
      return false;
    }
  }

  #reconnect(): void {
    const { clock } = this.#options;
    // During the pause the last problem stays the answer: a refused PIN must not be reported as a token that is away.
    if (this.#problem && clock.monotonic() < this.#notBeforeMs) throw this.#problem;
    this.#drop();
    try {
      this.#connectOrRestart();
      this.#pauseMs = 0;
    } catch (error) {
      this.#pauseMs = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, 2 * this.#pauseMs));
      this.#notBeforeMs = clock.monotonic() + this.#pauseMs;
      this.#problem = error instanceof KeyError ? error : this.#away(error);
      throw this.#problem;
    }
  }

  #connectOrRestart(): void {
    try {
      this.#connect();
    } catch (error) {
      // A restart does not help against a wrong PIN, and would disturb whoever shares the module.
      if (error instanceof KeyError && error.code !== "ERR_KEY_BUSY") throw error;
      this.#options.module.restart();
      this.#connect();
    }
  }

  #connect(): void {
    try {
      const slot = this.token.findSlot();
      const desk = this.#cryptoki.C_OpenSession(slot, SESSION_FLAGS);
      this.#slot = slot;
      this.#desk = desk;
      this.#generation = this.#options.module.generation;
      this.#login(slot, desk);
      this.#epoch += 1;
    } catch (error) {
      this.#drop();
      throw error instanceof KeyError ? error : this.#away(error);
    }
  }

  /** A refused PIN is not tried again; whoever corrects its file need not restart what holds the keys. */
  #login(slot: Handle, desk: Handle): void {
    if (this.token.hasRefused(this.#pin))
      try {
        this.#pin = this.#options.pin();
      } catch (cause) {
        const message = `Token ${this.token.label} refused its PIN, and no other can be read`;
        throw new KeyError("ERR_KEY_DENIED", message, { cause });
      }
    this.token.login(slot, desk, this.#pin);
  }

  #drop(): void {
    const session = this.#desk;
    this.#desk = undefined;
    this.#slot = undefined;
    this.#pool.drop(this.#isVoid);
    if (session && !this.#isVoid) attempt(() => this.#cryptoki.C_CloseSession(session));
  }

  #away(cause?: unknown): KeyError {
    const why = cause === undefined ? "is away" : `is away: ${errorLine(cause)}`;
    return new KeyError("ERR_KEY_BUSY", `Token ${this.token.label} ${why}`, {
      cause,
      retryAfterSeconds: Math.max(MIN_PAUSE_MS, this.#pauseMs) / 1000,
    });
  }
}

/** Gives something back to the token that may be gone already. */
function attempt(giveBack: () => void): void {
  try {
    giveBack();
  } catch {
    // The token took it along.
  }
}
