import { sql, type Transaction } from "kysely";
import { StoreError } from "../errors.ts";
import type { Database } from "./database.ts";
import { peopleMigrations } from "./people-migrations.ts";
import type { Tables } from "./tables.ts";

/**
 * Brings the database to this software's version; several processes may do so at once.
 *
 * @throws StoreError `ERR_STORE_REALM`, `ERR_STORE_VERSION`, `ERR_STORE_CORRUPT`, `ERR_STORE_IO`
 */
export async function migratePeople(database: Database, realm: string): Promise<void> {
  const migrations = peopleMigrations(database.engine.types);
  let isDone = false;
  while (!isDone)
    // oxlint-disable-next-line no-await-in-loop -- each is a transaction after the one before
    isDone = await database.transact("migration", async (tx) => {
      await database.engine.lockMigrations(tx);
      await bindRealm(tx, realm, database.engine.types.tableSuffix);
      return migrateOnce(tx, migrations);
    });
}

// THREAT-34: people, sessions and codes of one realm must not turn up in another because a URL was copied.
async function bindRealm(tx: Transaction<Tables>, realm: string, suffix: string): Promise<void> {
  await sql`create table if not exists meta (name text primary key, value text not null) ${sql.raw(suffix)}`.execute(
    tx,
  );
  await tx
    .insertInto("meta")
    .values([
      { name: "people_realm", value: realm },
      { name: "people_version", value: "0" },
    ])
    .onConflict((conflict) => conflict.column("name").doNothing())
    .execute();
  if ((await metaValue(tx, "people_realm")) !== realm)
    throw new StoreError("ERR_STORE_REALM", `Store is not of realm ${realm}`);
}

/** @returns whether nothing is left to do */
async function migrateOnce(
  tx: Transaction<Tables>,
  migrations: readonly (readonly string[])[],
): Promise<boolean> {
  const text = await metaValue(tx, "people_version");
  if (!/^\d{1,6}$/.test(text)) throw new StoreError("ERR_STORE_CORRUPT", "Store has no version");
  const version = Number(text);
  if (version > migrations.length)
    throw new StoreError(
      "ERR_STORE_VERSION",
      `Store is of version ${version}, this software knows ${migrations.length}`,
    );
  const next = migrations[version];
  if (next === undefined) return true;
  for (const statement of next)
    // oxlint-disable-next-line no-await-in-loop -- in their order
    await sql.raw(statement).execute(tx);
  await tx
    .updateTable("meta")
    .set({ value: String(version + 1) })
    .where("name", "=", "people_version")
    .execute();
  return false;
}

async function metaValue(tx: Transaction<Tables>, name: string): Promise<string> {
  const row = await tx
    .selectFrom("meta")
    .select("value")
    .where("name", "=", name)
    .executeTakeFirst();
  return row?.value ?? "";
}
