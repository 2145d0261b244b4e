import type { Selectable } from "kysely";
import type { Database } from "./database.ts";
import type { TalliesTable } from "./tables.ts";

const DAY_SECONDS = 86_400;

/** Sign-ins per day and tier; days since the epoch, in UTC. */
export interface Tallies {
  add(tier: string): Promise<void>;
  /** Both days included. */
  read(from: number, to: number): Promise<readonly Readonly<Selectable<TalliesTable>>[]>;
}

export function talliesRepository(database: Database): Tallies {
  return {
    add: (tier) =>
      database.run("count a sign-in", async (db) => {
        const day = Math.floor(database.now() / DAY_SECONDS);
        await db
          .insertInto("tallies")
          .values({ day, tier, count: 1 })
          .onConflict((conflict) =>
            conflict
              .columns(["day", "tier"])
              .doUpdateSet(({ eb }) => ({ count: eb("tallies.count", "+", 1) })),
          )
          .execute();
      }),
    read: (from, to) =>
      database.run("read tallies", (db) =>
        db
          .selectFrom("tallies")
          .selectAll()
          .where("day", ">=", from)
          .where("day", "<=", to)
          .orderBy("day")
          .orderBy("tier")
          .execute(),
      ),
  };
}
