import type { Selectable } from "kysely";
import type { Database } from "./database.ts";
import type { ApprovalsTable } from "./tables.ts";

export type Approval = Readonly<Selectable<ApprovalsTable>>;

/** What people approved and this realm acted on. A row is also what says that the approval was used. */
export interface ApprovalsRepository {
  /** Of any number of calls at once with one id, one is told true; it stays so for ever. */
  use(approval: Approval): Promise<boolean>;
  find(id: string): Promise<Approval | undefined>;
  /**
   * The newest first; `startIndex` begins at 1.
   *
   * @throws RangeError `startIndex` below 1, `count` not of 1 to 1000
   */
  list(page: {
    readonly startIndex: number;
    readonly count: number;
  }): Promise<readonly Pick<Approval, "id" | "at">[]>;
}

const MAX_PAGE = 1000;

export function approvalsRepository(database: Database): ApprovalsRepository {
  return {
    use: (approval) =>
      database.run("use of an approval", async (db) => {
        const { numInsertedOrUpdatedRows } = await db
          .insertInto("approvals")
          .values(approval)
          .onConflict((conflict) => conflict.column("id").doNothing())
          .executeTakeFirstOrThrow();
        return numInsertedOrUpdatedRows === 1n;
      }),
    find: (id) =>
      database.run("find an approval", (db) =>
        db.selectFrom("approvals").selectAll().where("id", "=", id).executeTakeFirst(),
      ),
    list: ({ startIndex, count }) => {
      if (!(startIndex >= 1) || !(count >= 1 && count <= MAX_PAGE))
        throw new RangeError("A page starts at 1 and has 1 to 1000 approvals");
      return database.run("list approvals", (db) => {
        const newest = db.selectFrom("approvals").select(["id", "at"]).orderBy("at", "desc");
        return newest
          .orderBy("id")
          .limit(count)
          .offset(startIndex - 1)
          .execute();
      });
    },
  };
}
