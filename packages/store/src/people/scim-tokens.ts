import type { Selectable } from "kysely";
import type { Database } from "./database.ts";
import type { ScimTokensTable } from "./tables.ts";

export type ScimToken = Readonly<Selectable<ScimTokensTable>>;

/** Who may provision a tenant's people; the SHA-256 of each secret stands for it. */
export interface ScimTokens {
  /** @throws StoreError `ERR_STORE_CONFLICT` */
  add(token: Omit<ScimToken, "created">): Promise<void>;
  /** Undefined where it has expired. */
  find(hash: Uint8Array): Promise<ScimToken | undefined>;
  /** Also those that have expired. */
  list(tenant: string): Promise<readonly ScimToken[]>;
  /** @returns whether it was there */
  remove(tenant: string, hash: Uint8Array): Promise<boolean>;
}

export function scimTokensRepository(database: Database): ScimTokens {
  return {
    add: (token) =>
      database.run("add a SCIM token", async (db) => {
        const row = { ...token, created: database.now() };
        await db.insertInto("scimTokens").values(row).execute();
      }),
    find: (hash) =>
      database.run("find a SCIM token", (db) => {
        const query = db.selectFrom("scimTokens").selectAll().where("hash", "=", hash);
        return query.where("expires", ">", database.now()).executeTakeFirst();
      }),
    list: (tenant) =>
      database.run("list SCIM tokens", (db) => {
        const query = db.selectFrom("scimTokens").selectAll().where("tenant", "=", tenant);
        return query.orderBy("created").orderBy("name").execute();
      }),
    remove: (tenant, hash) =>
      database.run("remove a SCIM token", async (db) => {
        const query = db.deleteFrom("scimTokens").where("tenant", "=", tenant);
        const { numDeletedRows } = await query.where("hash", "=", hash).executeTakeFirstOrThrow();
        return numDeletedRows === 1n;
      }),
  };
}
