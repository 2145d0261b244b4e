import { setTimeout as sleep } from "node:timers/promises";
import { nowSeconds, type Clock } from "@redoubt/base";
import type { Kysely, Transaction } from "kysely";
import { StoreError } from "../errors.ts";
import type { ColumnTypes } from "./people-migrations.ts";
import type { Tables } from "./tables.ts";

/** What an engine says of a failure of its own. */
export interface Failure {
  /** `retry`: another transaction was in the way, and nothing of this one happened. */
  readonly kind: "retry" | "unique" | "reference" | "value" | "locked" | "io";
  /** Of the constraint, in the engine's words. */
  readonly constraint: string;
}

export interface Engine {
  readonly kysely: Kysely<Tables>;
  readonly types: ColumnTypes;
  /** Whether several transactions run at once, so that what one relies on must be locked by it. */
  readonly locksRows: boolean;
  /** Makes whoever migrates wait for whoever does, until this transaction ends. */
  lockMigrations(transaction: Transaction<Tables>): Promise<void>;
  classify(cause: unknown): Failure;
  backup(path: string): Promise<void>;
}

const ATTEMPTS = 30;
const BACK_OFF_MS = 4;
const MAX_BACK_OFF_MS = 100;
/** The names of unique columns, and what the one who named them calls them. */
const PARTS: readonly (readonly [RegExp, string])[] = [
  [/user_name/, "userName"],
  [/external_id/, "externalId"],
  [/handle/, "handle"],
];

/** Runs queries: translates what fails, and repeats a transaction that another was in the way of. */
export class Database {
  readonly engine: Engine;
  readonly #clock: Pick<Clock, "now">;

  constructor(engine: Engine, clock: Pick<Clock, "now">) {
    this.engine = engine;
    this.#clock = clock;
  }

  now(): number {
    return nowSeconds(this.#clock);
  }

  /** One statement. @throws StoreError */
  run<T>(operation: string, query: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    return this.#attempt(operation, () => query(this.engine.kysely));
  }

  /**
   * All or nothing. `work` may run several times, and must use nothing but the transaction that it is given.
   *
   * @throws StoreError
   */
  transact<T>(operation: string, work: (tx: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#attempt(operation, () => this.engine.kysely.transaction().execute(work));
  }

  async #attempt<T>(operation: string, once: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1)
      try {
        // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
        return await once();
      } catch (cause) {
        const error = this.#translate(operation, cause);
        if (error !== undefined) throw error;
        if (attempt >= ATTEMPTS)
          throw new StoreError("ERR_STORE_IO", `Store failed: ${operation}, others in the way`, {
            cause,
          });
        const backOff = Math.min(BACK_OFF_MS * 2 ** attempt, MAX_BACK_OFF_MS);
        // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
        await sleep(Math.random() * backOff);
      }
  }

  /** @returns undefined where it is worth another attempt */
  #translate(operation: string, cause: unknown): StoreError | undefined {
    if (cause instanceof StoreError) return cause;
    const { kind, constraint } = this.engine.classify(cause);
    switch (kind) {
      case "retry":
        return undefined;
      case "unique": {
        const part = PARTS.find(([pattern]) => pattern.test(constraint))?.[1] ?? "id";
        return new StoreError("ERR_STORE_CONFLICT", `Taken: ${part} (${operation})`, {
          cause,
          part,
        });
      }
      case "reference":
        return new StoreError("ERR_STORE_MISSING", `No such owner (${operation})`, { cause });
      case "value":
        return new StoreError("ERR_STORE_VALUE", `Not a value for it (${operation})`, { cause });
      case "locked":
        return new StoreError("ERR_STORE_LOCKED", `Store stays locked (${operation})`, { cause });
      case "io":
        return new StoreError("ERR_STORE_IO", `Store failed: ${operation}`, { cause });
    }
  }
}

/** Statements of one form are told apart from rows of another by the query alone: no engine checks them. */
export function isRows<R>(rows: unknown): rows is R[] {
  return Array.isArray(rows);
}

// Postgres holds no NUL, and neither engine holds half a surrogate pair; SQLite would keep other text than it was given.
export function checkParameters(parameters: readonly unknown[]): void {
  for (const value of parameters)
    if (typeof value === "string" && (value.includes("\0") || !value.isWellFormed()))
      throw new StoreError("ERR_STORE_VALUE", "Text that cannot be stored: NUL or half a pair");
}
