import { sql, type Transaction } from "kysely";
import { StoreError } from "../errors.ts";
import type { Database } from "./database.ts";
import { detailsToRow, personOf, userNameKey, type NewPerson, type Person } from "./person.ts";
import type { PersonDetails } from "./person.ts";
import type { Tables } from "./tables.ts";

const MAX_PAGE = 1000;

export interface PeopleRepository {
  /** @throws StoreError `ERR_STORE_CONFLICT` with `part`: `id`, `userName`, `externalId` or `handle` */
  add(person: NewPerson): Promise<Person>;
  /** In this tenant, whatever the status. */
  find(tenant: string, by: PersonKey): Promise<Person | undefined>;
  /** By what an authenticator says, which names no tenant: the caller learns it from the person. */
  findByHandle(handle: Uint8Array): Promise<Person | undefined>;
  /**
   * In the order in which they were added. `startIndex` begins at 1 (RFC 7644 §3.4.2.4).
   *
   * @throws RangeError `startIndex` below 1, `count` below 0 or above 1000
   */
  list(tenant: string, page: { startIndex: number; count: number }): Promise<PeoplePage>;
  /**
   * Those of whom one address reads so, whatever its case; at most `limit`. The caller looks at the rest of the address.
   */
  findByEmail(tenant: string, address: string, limit: number): Promise<readonly Person[]>;
  /** Whether this is the id of an active person, of any tenant, who is an administrator. */
  isActiveAdministrator(id: string): Promise<boolean>;
  /** Active people of all tenants, by the weakest passkey that each has. */
  countPasskeys(): Promise<readonly PasskeyCount[]>;
  /**
   * Changes what is named, where the person still is of the version that was read.
   *
   * @throws StoreError `ERR_STORE_MISSING`, `ERR_STORE_CONFLICT` with `part`: `version`, `userName` or `externalId`
   */
  update(
    tenant: string,
    id: string,
    version: number,
    changes: Partial<PersonDetails>,
  ): Promise<Person>;
}

export type PersonKey =
  | { readonly id: string }
  | { readonly userName: string }
  | { readonly externalId: string };

export interface PasskeyCount {
  /** Null for people without a passkey; otherwise whether one can be copied. */
  readonly hasSynced: boolean | null;
  /** First and last in the alphabet of the trusts of a person's passkeys: one, where all are the same. */
  readonly trusts: readonly string[];
  readonly people: number;
}

export interface PeoplePage {
  /** In the tenant, on all pages. */
  readonly total: number;
  readonly people: readonly Person[];
}

export function peopleRepository(database: Database): PeopleRepository {
  return {
    add: (person) =>
      database.transact("add a person", (tx) => insertPerson(tx, person, database.now())),
    find: (tenant, by) =>
      database.run("find a person", async (db) => {
        const [column, value] = columnOf(by);
        const query = db.selectFrom("people").selectAll().where("tenant", "=", tenant);
        const row = await query.where(column, "=", value).executeTakeFirst();
        return row && personOf(row);
      }),
    findByHandle: (handle) =>
      database.run("find a person", async (db) => {
        const query = db.selectFrom("people").selectAll().where("handle", "=", handle);
        const row = await query.executeTakeFirst();
        return row && personOf(row);
      }),
    list: (tenant, page) => listPeople(database, tenant, page),
    findByEmail: (tenant, address, limit) => findByEmail(database, { tenant, address, limit }),
    isActiveAdministrator: (id) =>
      database.run("find an administrator", async (db) => {
        const query = db.selectFrom("people").select("id").where("id", "=", id);
        const active = query.where("status", "=", "active").where("isAdministrator", "=", 1);
        return (await active.executeTakeFirst()) !== undefined;
      }),
    countPasskeys: () => countPasskeys(database),
    update: (tenant, id, version, changes) =>
      database.transact("change a person", async (tx) => {
        const row = await lockPerson(database, tx, id);
        if (row?.tenant !== tenant) throw new StoreError("ERR_STORE_MISSING", "No such person");
        const { version: found } = row;
        if (found !== version)
          throw new StoreError("ERR_STORE_CONFLICT", `Person is of version ${found}`, {
            part: "version",
          });
        const changed = { ...personOf(row), ...changes };
        if (changed.isAdministrator) await markAdministrator(tx, id);
        const set = { ...detailsToRow(changed), version: version + 1, updated: database.now() };
        const query = tx.updateTable("people").set(set).where("id", "=", id).returningAll();
        return personOf(await query.executeTakeFirstOrThrow());
      }),
  };
}

/** Within a transaction; remembers that the realm has had an administrator. */
export async function insertPerson(
  tx: Transaction<Tables>,
  person: NewPerson,
  now: number,
): Promise<Person> {
  if (person.isAdministrator) await markAdministrator(tx, person.id);
  const { id, tenant, status, handle, source } = person;
  const times = { created: now, updated: now, version: 1 };
  const row = { ...detailsToRow(person), id, tenant, status, handle, source, ...times };
  const query = tx.insertInto("people").values(row).returningAll();
  return personOf(await query.executeTakeFirstOrThrow());
}

/** @returns whether this is the first one that the realm has or had */
export async function markAdministrator(tx: Transaction<Tables>, id: string): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto("meta")
    .values({ name: "first_administrator", value: id })
    .onConflict((conflict) => conflict.column("name").doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows === 1n;
}

/** What is decided about this person until the transaction ends, is decided by it alone. */
export function lockPerson(database: Database, tx: Transaction<Tables>, id: string) {
  return tx
    .selectFrom("people")
    .selectAll()
    .where("id", "=", id)
    .$if(database.engine.locksRows, (query) => query.forUpdate())
    .executeTakeFirst();
}

function columnOf(by: PersonKey) {
  if ("id" in by) return ["id", by.id] as const;
  if ("userName" in by) return ["userNameKey", userNameKey(by.userName)] as const;
  return ["externalId", by.externalId] as const;
}

function listPeople(
  database: Database,
  tenant: string,
  { startIndex, count }: { startIndex: number; count: number },
): Promise<PeoplePage> {
  if (!(startIndex >= 1) || !(count >= 0 && count <= MAX_PAGE))
    throw new RangeError("A page starts at 1 and has 0 to 1000 people");
  return database.transact("list people", async (tx) => {
    const all = tx.selectFrom("people").where("tenant", "=", tenant);
    const counted = all.select(({ fn }) => fn.countAll<number>().as("total"));
    const { total } = await counted.executeTakeFirstOrThrow();
    const ordered = all.selectAll().orderBy("created").orderBy("id");
    const rows = await ordered
      .limit(count)
      .offset(startIndex - 1)
      .execute();
    return { total, people: rows.map(personOf) };
  });
}

function findByEmail(
  database: Database,
  { tenant, address, limit }: { tenant: string; address: string; limit: number },
): Promise<readonly Person[]> {
  // As it stands in the JSON, whose other members cannot hold this text: a quote in them is escaped.
  const text = `"value":${JSON.stringify(address)}`.toLowerCase();
  const pattern = `%${text.replaceAll(/[\\%_]/g, (sign) => `\\${sign}`)}%`;
  return database.run("find people by address", async (db) => {
    const rows = await db
      .selectFrom("people")
      .selectAll()
      .where("tenant", "=", tenant)
      .where(sql<boolean>`lower(emails) like ${pattern} escape ${"\\"}`)
      .orderBy("created")
      .orderBy("id")
      .limit(limit)
      .execute();
    return rows.map(personOf);
  });
}

function countPasskeys(database: Database): Promise<readonly PasskeyCount[]> {
  return database.run("count passkeys", async (db) => {
    const each = db
      .selectFrom("people")
      .leftJoin("passkeys", "passkeys.personId", "people.id")
      .where("people.status", "=", "active")
      .groupBy("people.id")
      .select(({ fn }) => [
        "people.id",
        fn.max("passkeys.backupEligible").as("hasSynced"),
        fn.min("passkeys.trust").as("lowTrust"),
        fn.max("passkeys.trust").as("highTrust"),
      ]);
    const rows = await db
      .selectFrom(each.as("each"))
      .groupBy(["hasSynced", "lowTrust", "highTrust"])
      .select(({ fn }) => [
        "hasSynced",
        "lowTrust",
        "highTrust",
        fn.countAll<number>().as("people"),
      ])
      .execute();
    return rows.map(({ hasSynced, lowTrust, highTrust, people }) => ({
      hasSynced: hasSynced === null ? null : hasSynced === 1,
      trusts: distinct([lowTrust, highTrust]),
      people,
    }));
  });
}

/** Whether all are the same shows in the first and the last of them. */
function distinct(trusts: readonly (string | null)[]): readonly string[] {
  return [...new Set(trusts)].filter((trust) => trust !== null);
}
