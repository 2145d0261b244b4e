import type { Selectable } from "kysely";
import type { Database } from "./database.ts";
import type { OutboxMessage } from "./standing.ts";
import type { OutboxTable } from "./tables.ts";

/** A message and how often it was leased: whoever leases it after that holds it instead. */
export type Leased = Readonly<Selectable<OutboxTable>>;

/** What others are to be told, written with what happened and sent afterwards, at least once. */
export interface Outbox {
  /** Due at once. A change of a person's standing writes its own. @throws StoreError `ERR_STORE_CONFLICT` */
  add(message: OutboxMessage): Promise<void>;
  /** Messages that are due, longest first; nobody else gets them for so many seconds. */
  lease(leaseSeconds: number, limit: number): Promise<readonly Leased[]>;
  /** It was sent. @returns false where somebody else holds it by now */
  done(message: Leased): Promise<boolean>;
  /** It was not, and is due again then. @returns false where somebody else holds it by now */
  failed(message: Leased, nextAttempt: number): Promise<boolean>;
}

export function outboxRepository(database: Database): Outbox {
  return {
    add: (message) =>
      database.run("tell others", async (db) => {
        const now = database.now();
        const row = { ...message, created: now, nextAttempt: now, attempts: 0 };
        await db.insertInto("outbox").values(row).execute();
      }),
    lease: (leaseSeconds, limit) => lease(database, leaseSeconds, limit),
    done: ({ id, attempts }) =>
      database.run("message was sent", async (db) => {
        const query = db.deleteFrom("outbox").where("id", "=", id);
        const done = await query.where("attempts", "=", attempts).executeTakeFirstOrThrow();
        return done.numDeletedRows === 1n;
      }),
    failed: ({ id, attempts }, nextAttempt) =>
      database.run("message was not sent", async (db) => {
        const query = db.updateTable("outbox").set({ nextAttempt }).where("id", "=", id);
        const done = await query.where("attempts", "=", attempts).executeTakeFirstOrThrow();
        return done.numUpdatedRows === 1n;
      }),
  };
}

function lease(
  database: Database,
  leaseSeconds: number,
  limit: number,
): Promise<readonly Leased[]> {
  const now = database.now();
  return database.transact("lease messages", async (tx) => {
    const due = await tx
      .selectFrom("outbox")
      .selectAll()
      .where("nextAttempt", "<=", now)
      .orderBy("nextAttempt")
      .orderBy("id")
      .limit(limit)
      .execute();
    const leased: Leased[] = [];
    for (const message of due) {
      const { id, attempts } = message;
      const set = { attempts: attempts + 1, nextAttempt: now + leaseSeconds };
      const query = tx.updateTable("outbox").set(set).where("id", "=", id);
      // oxlint-disable-next-line no-await-in-loop -- one connection; in one order, or two that lease could wait for each other
      const { numUpdatedRows } = await query
        .where("attempts", "=", attempts)
        .executeTakeFirstOrThrow();
      if (numUpdatedRows === 1n) leased.push({ ...message, ...set });
    }
    return leased;
  });
}
