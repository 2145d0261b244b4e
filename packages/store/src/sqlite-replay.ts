import type { DatabaseSync, StatementSync } from "node:sqlite";
import { StoreError } from "./errors.ts";
import type { ReplayRepository } from "./repositories.ts";

export interface ReplayOptions {
  readonly now: () => number;
  /** Unexpired values that are kept at most; past it the use of a new one is refused. */
  readonly max: number;
}

interface Use {
  readonly key: Uint8Array;
  readonly expires: number;
  readonly resolve: (isFirst: boolean) => void;
  readonly reject: (error: StoreError) => void;
}

const PRUNE_EVERY_SECONDS = 30;
const MAX_WAITING = 4096;

/**
 * One-time values in SQLite (THREAT-34). The uses of one event-loop turn share a transaction, and so one
 * data sync. An unexpired value is never forgotten, neither by a full table nor by a restart.
 */
export class SqliteReplay implements ReplayRepository {
  readonly #database: DatabaseSync;
  readonly #options: ReplayOptions;
  readonly #insert: StatementSync;
  readonly #prune: StatementSync;
  readonly #setFloor: StatementSync;
  #count: number;
  /** Values that expired at or before this second were forgotten. */
  #floor: number;
  #nextPrune = 0;
  #waiting: Use[] = [];
  #closed = false;

  constructor(database: DatabaseSync, options: ReplayOptions) {
    this.#database = database;
    this.#options = options;
    this.#insert = database.prepare("insert or ignore into replay values (?, ?)");
    this.#prune = database.prepare("delete from replay where expires <= ?");
    this.#setFloor = database.prepare("insert or replace into meta values ('replay_floor', ?)");
    this.#count = integer(database.prepare("select count(*) n from replay").get()?.["n"]);
    const floor = database.prepare("select value from meta where name = 'replay_floor'").get();
    this.#floor = integer(Number(floor?.["value"] ?? 0));
  }

  use(key: Uint8Array, expiresSeconds: number): Promise<boolean> {
    if (this.#closed) return Promise.reject(new StoreError("ERR_STORE_IO", "Store is closed"));
    if (this.#waiting.length >= MAX_WAITING)
      return Promise.reject(new StoreError("ERR_STORE_FULL", "Too many one-time values wait"));
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.flush());
      this.#waiting.push({ key, expires: expiresSeconds, resolve, reject });
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
      else reject(verdict ?? full());
    }
  }

  close(): void {
    this.#closed = true;
    this.flush();
  }

  #decide(uses: readonly Use[]): readonly (boolean | undefined)[] | StoreError {
    const { now } = this.#options;
    const before = { count: this.#count, floor: this.#floor };
    try {
      this.#database.exec("begin immediate");
      this.#forgetExpired(now());
      const verdicts = uses.map((use) => this.#take(use));
      this.#database.exec("commit");
      return verdicts;
    } catch (cause) {
      // Nothing of this transaction counts, also where the failure was the commit itself.
      if (this.#database.isTransaction) this.#database.exec("rollback");
      this.#count = before.count;
      this.#floor = before.floor;
      this.#nextPrune = 0;
      return new StoreError("ERR_STORE_IO", "Store failed: use of a one-time value", { cause });
    }
  }

  /** @returns undefined when there is no room */
  #take({ key, expires }: Use): boolean | undefined {
    // THREAT-29: by a clock that was set back, a value that was forgotten as expired would be valid again.
    if (expires <= this.#floor) return false;
    if (this.#count >= this.#options.max) return undefined;
    const isFirst = this.#insert.run(key, expires).changes === 1;
    if (isFirst) this.#count += 1;
    return isFirst;
  }

  #forgetExpired(now: number): void {
    const isDue = now >= this.#nextPrune || this.#count >= this.#options.max;
    if (!isDue || now <= this.#floor) return;
    this.#count -= Number(this.#prune.run(now).changes);
    this.#setFloor.run(String(now));
    this.#floor = now;
    this.#nextPrune = now + PRUNE_EVERY_SECONDS;
  }
}

function integer(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value))
    throw new StoreError("ERR_STORE_CORRUPT", "Store holds no count of one-time values");
  return value;
}

function full(): StoreError {
  return new StoreError("ERR_STORE_FULL", "No room for another one-time value");
}
