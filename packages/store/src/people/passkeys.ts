import type { Selectable } from "kysely";
import { StoreError } from "../errors.ts";
import type { Database } from "./database.ts";
import { lockPerson } from "./people.ts";
import { parseTexts } from "./person.ts";
import type { PasskeysTable } from "./tables.ts";

export interface NewPasskey {
  /** Unique in the realm. */
  readonly credentialId: Uint8Array;
  readonly personId: string;
  /** Where it works, which is no matter of today's configuration. */
  readonly rpId: string;
  readonly publicKey: Uint8Array;
  /** COSE. */
  readonly algorithm: number;
  readonly counter: number;
  readonly trust: string;
  readonly format: string;
  readonly aaguid: string;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  readonly transports: readonly string[];
  readonly name: string;
  readonly createdBy: "pass" | "passkey" | "recovery";
}

export interface Passkey extends NewPasskey {
  readonly created: number;
  readonly lastUsed: number | null;
}

export interface PasskeysRepository {
  /** @throws StoreError `ERR_STORE_CONFLICT`; `ERR_STORE_MISSING`: no such person, or a disabled one */
  add(passkey: NewPasskey): Promise<Passkey>;
  find(credentialId: Uint8Array): Promise<Passkey | undefined>;
  /** Oldest first. */
  list(personId: string): Promise<readonly Passkey[]>;
  /** @throws StoreError `ERR_STORE_MISSING` */
  rename(personId: string, credentialId: Uint8Array, name: string): Promise<void>;
  /** Leaves the person `atLeast` passkeys, however many are removed at once. */
  remove(
    personId: string,
    credentialId: Uint8Array,
    limits: { readonly atLeast: number },
  ): Promise<"removed" | "missing" | "too-few">;
  /**
   * After an assertion was verified. The counter never falls; `behind` is one that had to rise and did not, by what
   * stands here now and not by what the verification was made with (WebAuthn §7.2 step 22). A synchronised passkey's need not.
   */
  used(
    credentialId: Uint8Array,
    state: { readonly counter: number; readonly backedUp: boolean },
  ): Promise<"used" | "missing" | "behind">;
}

export function passkeysRepository(database: Database): PasskeysRepository {
  return {
    add: (passkey) =>
      database.transact("add a passkey", async (tx) => {
        const person = await lockPerson(database, tx, passkey.personId);
        if (person?.status !== "active")
          throw new StoreError("ERR_STORE_MISSING", "No active person for the passkey");
        const row = { ...toRow(passkey), created: database.now(), lastUsed: null };
        const query = tx.insertInto("passkeys").values(row).returningAll();
        return passkeyOf(await query.executeTakeFirstOrThrow());
      }),
    find: (credentialId) =>
      database.run("find a passkey", async (db) => {
        const query = db.selectFrom("passkeys").selectAll();
        const row = await query.where("credentialId", "=", credentialId).executeTakeFirst();
        return row && passkeyOf(row);
      }),
    list: (personId) =>
      database.run("list passkeys", async (db) => {
        const query = db.selectFrom("passkeys").selectAll().where("personId", "=", personId);
        const rows = await query.orderBy("created").orderBy("credentialId").execute();
        return rows.map(passkeyOf);
      }),
    rename: (personId, credentialId, name) =>
      database.run("rename a passkey", async (db) => {
        const query = db.updateTable("passkeys").set({ name }).where("personId", "=", personId);
        const found = await query.where("credentialId", "=", credentialId).executeTakeFirst();
        if (found.numUpdatedRows !== 1n)
          throw new StoreError("ERR_STORE_MISSING", "No such passkey of this person");
      }),
    remove: (...args) => remove(database, args),
    used: (...args) => used(database, args),
  };
}

function remove(
  database: Database,
  [personId, credentialId, { atLeast }]: Parameters<PasskeysRepository["remove"]>,
): ReturnType<PasskeysRepository["remove"]> {
  return database.transact("remove a passkey", async (tx) => {
    // Two that each see one to spare would leave one too few.
    await lockPerson(database, tx, personId);
    const query = tx.selectFrom("passkeys").select("credentialId");
    const rows = await query.where("personId", "=", personId).execute();
    const wanted = Buffer.from(credentialId);
    if (!rows.some((row) => wanted.equals(row.credentialId))) return "missing";
    if (rows.length <= atLeast) return "too-few";
    await tx.deleteFrom("passkeys").where("credentialId", "=", credentialId).execute();
    return "removed";
  });
}

function used(
  database: Database,
  [credentialId, { counter, backedUp }]: Parameters<PasskeysRepository["used"]>,
): ReturnType<PasskeysRepository["used"]> {
  return database.transact("use of a passkey", async (tx) => {
    const query = tx.selectFrom("passkeys").select(["counter", "backupEligible"]);
    const found = await query
      .where("credentialId", "=", credentialId)
      .$if(database.engine.locksRows, (select) => select.forUpdate())
      .executeTakeFirst();
    if (!found) return "missing";
    const hasCounter = counter !== 0 || found.counter !== 0;
    if (hasCounter && found.backupEligible === 0 && counter <= found.counter) return "behind";
    const set = {
      counter: Math.max(counter, found.counter),
      backedUp: Number(backedUp),
      lastUsed: database.now(),
    };
    await tx.updateTable("passkeys").set(set).where("credentialId", "=", credentialId).execute();
    return "used";
  });
}

function toRow(passkey: NewPasskey) {
  const { personId, rpId, publicKey, algorithm, counter, trust, format, aaguid, name } = passkey;
  const texts = { personId, rpId, trust, format, aaguid, name, createdBy: passkey.createdBy };
  return {
    ...texts,
    credentialId: passkey.credentialId,
    publicKey,
    algorithm,
    counter,
    backupEligible: Number(passkey.backupEligible),
    backedUp: Number(passkey.backedUp),
    transports: JSON.stringify(passkey.transports),
  };
}

function passkeyOf(row: Selectable<PasskeysTable>): Passkey {
  const { backupEligible, backedUp, transports, ...rest } = row;
  return {
    ...rest,
    backupEligible: backupEligible === 1,
    backedUp: backedUp === 1,
    transports: parseTexts(transports),
  };
}
