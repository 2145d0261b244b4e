import type { Insertable, Kysely } from "kysely";
import type { Database } from "./database.ts";
import type { ProtocolTable, Tables } from "./tables.ts";

/** What OpenID Connect's machinery keeps: sessions, grants, codes, tokens, interactions, used proofs. */
export interface ProtocolRow {
  readonly kind: string;
  readonly id: string;
  /** JSON. */
  readonly payload: string;
  /** Null where it never ends by itself. */
  readonly expires: number | null;
  readonly grantId?: string | null;
  /** The person's id. */
  readonly accountId?: string | null;
  readonly uid?: string | null;
  readonly userCode?: string | null;
}

export interface StoredProtocolRow {
  readonly kind: string;
  readonly id: string;
  readonly payload: string;
  readonly expires: number | null;
  readonly consumedAt: number | null;
  readonly version: number;
}

/** No row is ever found that has expired, or that belongs to a disabled person. */
export interface ProtocolRepository {
  find(kind: string, id: string): Promise<StoredProtocolRow | undefined>;
  findByUid(kind: string, uid: string): Promise<StoredProtocolRow | undefined>;
  findByUserCode(kind: string, userCode: string): Promise<StoredProtocolRow | undefined>;
  /** A row that was consumed stays so. */
  upsert(row: ProtocolRow): Promise<void>;
  /** Of any number of calls at once, one is told true. A row that has expired is absent. */
  insertIfAbsent(row: ProtocolRow): Promise<boolean>;
  /** Replaces the row where it still is of this version. @returns whether it was */
  update(row: ProtocolRow, version: number): Promise<boolean>;
  /** Of any number of calls at once, one is told true. */
  consume(kind: string, id: string): Promise<boolean>;
  /** Undoes `consume`: what it was spent for did not come about. */
  release(kind: string, id: string): Promise<void>;
  destroy(kind: string, id: string): Promise<void>;
  /** @returns how many rows went */
  revokeByGrantId(grantId: string): Promise<number>;
}

type Column = "id" | "uid" | "userCode";

export function protocolRepository(database: Database): ProtocolRepository {
  return {
    find: (kind, id) => find(database, kind, ["id", id]),
    findByUid: (kind, uid) => find(database, kind, ["uid", uid]),
    findByUserCode: (kind, userCode) => find(database, kind, ["userCode", userCode]),
    upsert: (row) =>
      database.run("write a protocol row", async (db) => {
        await insert(db, row)
          .onConflict((conflict) =>
            conflict.columns(["kind", "id"]).doUpdateSet(({ eb }) => ({
              ...valuesOf(row),
              version: eb("protocol.version", "+", 1),
            })),
          )
          .execute();
      }),
    insertIfAbsent: (row) => insertIfAbsent(database, row),
    update: (row, version) => update(database, row, version),
    consume: (kind, id) => consume(database, kind, id),
    release: (kind, id) =>
      database.run("release a protocol row", async (db) => {
        await db
          .updateTable("protocol")
          .set((eb) => ({ consumedAt: null, version: eb("version", "+", 1) }))
          .where("kind", "=", kind)
          .where("id", "=", id)
          .execute();
      }),
    destroy: (kind, id) =>
      database.run("remove a protocol row", async (db) => {
        const query = db.deleteFrom("protocol").where("kind", "=", kind);
        await query.where("id", "=", id).execute();
      }),
    revokeByGrantId: (grantId) => revoke(database, grantId),
  };
}

// A request that was under way when its person was disabled may write a row afterwards: it is there, and never found.
function find(
  database: Database,
  kind: string,
  [column, value]: readonly [Column, string],
): Promise<StoredProtocolRow | undefined> {
  const now = database.now();
  return database.run("find a protocol row", (db) =>
    db
      .selectFrom("protocol as row")
      .leftJoin("people", "people.id", "row.accountId")
      .select(["row.kind", "row.id", "row.payload", "row.expires", "row.consumedAt", "row.version"])
      .where("row.kind", "=", kind)
      .where(`row.${column}`, "=", value)
      .where((where) =>
        where.or([where("row.expires", "is", null), where("row.expires", ">", now)]),
      )
      .where((where) =>
        where.or([where("people.status", "is", null), where("people.status", "=", "active")]),
      )
      .executeTakeFirst(),
  );
}

function insertIfAbsent(database: Database, row: ProtocolRow): Promise<boolean> {
  const now = database.now();
  return database.run("first use", async (db) => {
    const { numInsertedOrUpdatedRows } = await insert(db, row)
      .onConflict((conflict) =>
        conflict
          .columns(["kind", "id"])
          .doUpdateSet({ ...valuesOf(row), consumedAt: null })
          .where("protocol.expires", "<=", now),
      )
      .executeTakeFirstOrThrow();
    return numInsertedOrUpdatedRows === 1n;
  });
}

function update(database: Database, row: ProtocolRow, version: number): Promise<boolean> {
  const now = database.now();
  return database.run("change a protocol row", async (db) => {
    const { numUpdatedRows } = await db
      .updateTable("protocol")
      .set({ ...valuesOf(row), version: version + 1 })
      .where("kind", "=", row.kind)
      .where("id", "=", row.id)
      .where("version", "=", version)
      .where((where) => where.or([where("expires", "is", null), where("expires", ">", now)]))
      .executeTakeFirstOrThrow();
    return numUpdatedRows === 1n;
  });
}

function consume(database: Database, kind: string, id: string): Promise<boolean> {
  const now = database.now();
  return database.run("consume a protocol row", async (db) => {
    const { numUpdatedRows } = await db
      .updateTable("protocol")
      .set(({ eb }) => ({ consumedAt: now, version: eb("version", "+", 1) }))
      .where("kind", "=", kind)
      .where("id", "=", id)
      .where("consumedAt", "is", null)
      .where((where) => where.or([where("expires", "is", null), where("expires", ">", now)]))
      .executeTakeFirstOrThrow();
    return numUpdatedRows === 1n;
  });
}

function revoke(database: Database, grantId: string): Promise<number> {
  return database.run("revoke", async (db) => {
    const query = db.deleteFrom("protocol").where("grantId", "=", grantId);
    return Number((await query.executeTakeFirstOrThrow()).numDeletedRows);
  });
}

function insert(db: Kysely<Tables>, row: ProtocolRow) {
  const { kind, id } = row;
  const values: Insertable<ProtocolTable> = {
    ...valuesOf(row),
    kind,
    id,
    consumedAt: null,
    version: 1,
  };
  return db.insertInto("protocol").values(values);
}

function valuesOf(row: ProtocolRow) {
  const { payload, expires, grantId = null, accountId = null, uid = null, userCode = null } = row;
  return { payload, expires, grantId, accountId, uid, userCode };
}
