import type { DatabaseSync, StatementSync } from "node:sqlite";
import { StoreError } from "./errors.ts";
import type { OneTimeValue, ReplayRepository } from "./repositories.ts";
import { Shares } from "./shares.ts";

/** Unexpired values that are kept at most. */
export interface ReplayLimits {
  readonly all: number;
  /** Of one owner. */
  readonly ofOne: number;
  /** An owner that has fewer gets one more, whatever all others have. */
  readonly reserved: number;
}

/**
 * A value takes 110 bytes on disk. 200 000 of one client are its 3 000 tokens a second with assertions of a minute, or 55
 * a second with assertions of an hour.
 */
export const DEFAULT_REPLAY_LIMITS: ReplayLimits = {
  all: 1_000_000,
  ofOne: 200_000,
  reserved: 2000,
};

interface ReplayOptions {
  readonly now: () => number;
  readonly limits: ReplayLimits;
}

interface Use extends OneTimeValue {
  readonly resolve: (isFirst: boolean) => void;
  readonly reject: (error: StoreError) => void;
}

const PRUNE_EVERY_SECONDS = 30;
/** Some 15 ms: a client chooses when its values expire, and may have them all expire in one second. */
const PRUNE_AT_ONCE = 5000;
const MAX_WAITING = 4096;

/**
 * One-time values in SQLite (THREAT-34). The uses of one event-loop turn share a transaction, and so one
 * data sync. An unexpired value is never forgotten, neither by a full table nor by a restart. An owner that uses up the
 * room takes none that others need (THREAT-36).
 */
export class SqliteReplay implements ReplayRepository {
  readonly #database: DatabaseSync;
  readonly #options: ReplayOptions;
  readonly #insert: StatementSync;
  readonly #prune: StatementSync;
  readonly #setFloor: StatementSync;
  readonly #shares = new Shares();
  /** Values that expired at or before this second count as used: they are forgotten, or about to be. */
  #floor: number;
  #nextPrune = 0;
  #isPruned = true;
  #waiting: Use[] = [];
  #closed = false;

  constructor(database: DatabaseSync, options: ReplayOptions) {
    this.#database = database;
    this.#options = options;
    this.#insert = database.prepare("insert or ignore into replay values (?, ?, ?)");
    this.#prune = database.prepare(
      `delete from replay where key in
       (select key from replay where expires <= ? order by expires limit ${PRUNE_AT_ONCE}) returning owner`,
    );
    this.#setFloor = database.prepare("insert or replace into meta values ('replay_floor', ?)");
    for (const { owner, n } of database
      .prepare("select owner, count(*) n from replay group by owner")
      .iterate())
      this.#shares.add(text(owner), integer(n));
    this.#shares.commit();
    const floor = database.prepare("select value from meta where name = 'replay_floor'").get();
    this.#floor = integer(Number(floor?.["value"] ?? 0));
  }

  use(value: OneTimeValue): Promise<boolean> {
    if (this.#closed) return Promise.reject(new StoreError("ERR_STORE_IO", "Store is closed"));
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(new StoreError("ERR_STORE_FULL", "Too many one-time values wait"));
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.flush());
      this.#waiting.push({ ...value, resolve, reject });
    });
  }

  /** Decides everything that waits, in one transaction. */
  flush(): void {
    const uses = this.#waiting;
    if (uses.length === 0) return;
    this.#waiting = [];
    const verdicts = this.#decide(uses);
    for (const [index, { resolve, reject }] of uses.entries()) {
      const verdict = verdicts instanceof StoreError ? verdicts : verdicts[index];
      if (typeof verdict === "boolean") resolve(verdict);
      else if (verdict) reject(verdict);
    }
  }

  close(): void {
    this.#closed = true;
    this.flush();
  }

  #decide(uses: readonly Use[]): readonly (boolean | StoreError)[] | StoreError {
    const floor = this.#floor;
    try {
      this.#database.exec("begin immediate");
      this.#forgetExpired(this.#options.now());
      const verdicts = uses.map((use) => this.#take(use));
      this.#database.exec("commit");
      this.#shares.commit();
      return verdicts;
    } catch (cause) {
      // Nothing of this transaction counts, also where the failure was the commit itself.
      if (this.#database.isTransaction) this.#database.exec("rollback");
      this.#shares.undo();
      this.#floor = floor;
      this.#nextPrune = 0;
      return new StoreError("ERR_STORE_IO", "Store failed: use of a one-time value", { cause });
    }
  }

  /** @returns an error when there is no room */
  #take({ key, owner, expiresSeconds }: Use): boolean | StoreError {
    // THREAT-29: by a clock that was set back, a value that was forgotten as expired would be valid again.
    if (expiresSeconds <= this.#floor) return false;
    const { all, ofOne, reserved } = this.#options.limits;
    const own = this.#shares.of(owner);
    if (own >= ofOne)
      return new StoreError("ERR_STORE_SHARE", "Too many one-time values of one owner");
    if (this.#shares.total >= all && own >= reserved)
      return new StoreError("ERR_STORE_FULL", "No room for another one-time value");
    const isFirst = this.#insert.run(key, owner, expiresSeconds).changes === 1;
    if (isFirst) this.#shares.add(owner, 1);
    return isFirst;
  }

  #forgetExpired(now: number): void {
    if (now < this.#floor || (now === this.#floor && this.#isPruned)) return;
    const isFull = this.#shares.total >= this.#options.limits.all;
    if (now < this.#nextPrune && this.#isPruned && !isFull) return;
    const forgotten = this.#prune.all(now);
    for (const { owner } of forgotten) this.#shares.add(text(owner), -1);
    this.#setFloor.run(String(now));
    this.#floor = now;
    this.#isPruned = forgotten.length < PRUNE_AT_ONCE;
    this.#nextPrune = now + PRUNE_EVERY_SECONDS;
  }
}

function integer(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value))
    throw new StoreError("ERR_STORE_CORRUPT", "Store holds no count of one-time values");
  return value;
}

function text(value: unknown): string {
  if (typeof value !== "string")
    throw new StoreError("ERR_STORE_CORRUPT", "Store holds a one-time value of nobody");
  return value;
}
