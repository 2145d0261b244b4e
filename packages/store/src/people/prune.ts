import type { Database } from "./database.ts";

/** A pass that has ended is kept so long, so that the log can say what became of it. */
const PASS_KEPT_SECONDS = 90 * 86_400;

/**
 * Removes what has expired, at most `limit` rows of each kind.
 *
 * @returns how many rows went; there may be more while it is not 0
 */
export async function prune(database: Database, limit: number): Promise<number> {
  const now = database.now();
  const counts = [
    await database.run("prune protocol rows", (db) =>
      db
        .deleteFrom("protocol")
        .where((where) =>
          where(
            where.refTuple("kind", "id"),
            "in",
            db
              .selectFrom("protocol")
              .select(["kind", "id"])
              .where("expires", "<=", now)
              .orderBy("expires")
              .limit(limit)
              .$asTuple("kind", "id"),
          ),
        )
        // It may have been written again since it was chosen.
        .where("expires", "<=", now)
        .executeTakeFirstOrThrow(),
    ),
    await database.run("prune ceremonies", (db) => {
      const expired = db.selectFrom("ceremonies").select("idHash").where("expires", "<=", now);
      const chosen = expired.orderBy("expires").limit(limit);
      return db.deleteFrom("ceremonies").where("idHash", "in", chosen).executeTakeFirstOrThrow();
    }),
    await database.run("prune passes", (db) => {
      const ended = db.selectFrom("passes").select("hash");
      const chosen = ended.where("expires", "<=", now - PASS_KEPT_SECONDS).orderBy("expires");
      const query = db.deleteFrom("passes").where("hash", "in", chosen.limit(limit));
      return query.executeTakeFirstOrThrow();
    }),
  ];
  return counts.reduce((sum, { numDeletedRows }) => sum + Number(numDeletedRows), 0);
}
