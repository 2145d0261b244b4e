import type { Insertable, Selectable } from "kysely";
import type { Database } from "./database.ts";
import type { CeremoniesTable } from "./tables.ts";

/** What the server said in a ceremony with an authenticator, and must have said to accept the answer. */
export interface CeremoniesRepository {
  /** @throws StoreError `ERR_STORE_CONFLICT` */
  add(ceremony: Readonly<Insertable<CeremoniesTable>>): Promise<void>;
  /** Removes and answers it, to one of any number of calls at once; undefined where it has expired. */
  take(
    kind: string,
    idHash: Uint8Array,
  ): Promise<Readonly<Selectable<CeremoniesTable>> | undefined>;
}

export function ceremoniesRepository(database: Database): CeremoniesRepository {
  return {
    add: (ceremony) =>
      database.run("begin a ceremony", async (db) => {
        await db.insertInto("ceremonies").values(ceremony).execute();
      }),
    take: (kind, idHash) =>
      database.run("end a ceremony", async (db) => {
        const row = await db
          .deleteFrom("ceremonies")
          .where("idHash", "=", idHash)
          .where("kind", "=", kind)
          .returningAll()
          .executeTakeFirst();
        return row && row.expires > database.now() ? row : undefined;
      }),
  };
}
