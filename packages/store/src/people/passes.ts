import type { Selectable, Transaction } from "kysely";
import { StoreError } from "../errors.ts";
import type { Database } from "./database.ts";
import { insertPerson, lockPerson, markAdministrator } from "./people.ts";
import type { NewPerson, Person } from "./person.ts";
import type { PassesTable, Tables } from "./tables.ts";

/** Passes of one purpose: one, or a set of codes of which each works once. */
export interface NewPasses {
  /** SHA-256 of each secret; the secrets are not stored. */
  readonly hashes: readonly Uint8Array[];
  readonly personId: string;
  readonly purpose: PassesTable["purpose"];
  readonly notBefore: number;
  readonly expires: number;
  /** Id of the approval in presence's records, or "operator". */
  readonly issuedBy: string;
}

export type Pass = Omit<Selectable<PassesTable>, "usedAt" | "voidedAt">;

/** Why a pass was refused: for the log, never for whoever showed it. */
export type PassRefusal = "unknown" | "used" | "void" | "unripe" | "expired";

export interface PassesRepository {
  /**
   * Voids the person's unused passes of the same purpose.
   *
   * @throws StoreError `ERR_STORE_CONFLICT`; `ERR_STORE_MISSING`: no such person, or a disabled one
   * @throws RangeError no hash is given
   */
  issue(passes: NewPasses): Promise<void>;
  /**
   * The person and the pass, unless the realm has or had an administrator.
   *
   * @throws StoreError `ERR_STORE_CONFLICT` with `part`: `administrator`, or what `PeopleRepository.add` says
   */
  addFirstAdministrator(
    person: NewPerson,
    pass: Omit<NewPasses, "personId" | "purpose" | "hashes"> & { readonly hash: Uint8Array },
  ): Promise<Person>;
  /** Of any number of calls at once, one gets the pass. */
  consume(hash: Uint8Array): Promise<{ readonly pass: Pass } | { readonly refusal: PassRefusal }>;
}

export function passesRepository(database: Database): PassesRepository {
  return {
    issue: (passes) => {
      if (passes.hashes.length === 0) throw new RangeError("No pass is named");
      return database.transact("issue a pass", async (tx) => {
        const person = await lockPerson(database, tx, passes.personId);
        if (person?.status !== "active")
          throw new StoreError("ERR_STORE_MISSING", "No active person for the pass");
        await insertPasses(tx, passes, database.now());
      });
    },
    addFirstAdministrator: (person, { hash, ...pass }) =>
      database.transact("first administrator", async (tx) => {
        if (!(await markAdministrator(tx, person.id)))
          throw new StoreError("ERR_STORE_CONFLICT", "The realm has had an administrator", {
            part: "administrator",
          });
        const now = database.now();
        const added = await insertPerson(tx, { ...person, isAdministrator: true }, now);
        const purpose = "first-administrator" as const;
        await insertPasses(tx, { ...pass, hashes: [hash], personId: person.id, purpose }, now);
        return added;
      }),
    consume: (hash) => consume(database, hash),
  };
}

async function insertPasses(
  tx: Transaction<Tables>,
  { hashes, ...pass }: NewPasses,
  now: number,
): Promise<void> {
  await tx
    .updateTable("passes")
    .set({ voidedAt: now })
    .where("personId", "=", pass.personId)
    .where("purpose", "=", pass.purpose)
    .where("usedAt", "is", null)
    .where("voidedAt", "is", null)
    .execute();
  const rows = hashes.map((hash) => ({
    ...pass,
    hash,
    created: now,
    usedAt: null,
    voidedAt: null,
  }));
  await tx.insertInto("passes").values(rows).execute();
}

async function consume(
  database: Database,
  hash: Uint8Array,
): ReturnType<PassesRepository["consume"]> {
  const now = database.now();
  return database.run("use of a pass", async (db) => {
    const row = await db
      .updateTable("passes")
      .set({ usedAt: now })
      .where("hash", "=", hash)
      .where("usedAt", "is", null)
      .where("voidedAt", "is", null)
      .where("notBefore", "<=", now)
      .where("expires", ">", now)
      .returningAll()
      .executeTakeFirst();
    if (row) {
      const { usedAt: _used, voidedAt: _voided, ...pass } = row;
      return { pass };
    }
    const query = db.selectFrom("passes").selectAll().where("hash", "=", hash);
    return { refusal: refusalOf(await query.executeTakeFirst(), now) };
  });
}

function refusalOf(row: Selectable<PassesTable> | undefined, now: number): PassRefusal {
  if (!row) return "unknown";
  if (row.usedAt !== null) return "used";
  if (row.voidedAt !== null) return "void";
  return row.notBefore > now ? "unripe" : "expired";
}
