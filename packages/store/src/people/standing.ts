import type { Transaction } from "kysely";
import { StoreError } from "../errors.ts";
import type { Database } from "./database.ts";
import { lockPerson } from "./people.ts";
import type { Tables } from "./tables.ts";

export interface OutboxMessage {
  /** Made by the caller. */
  readonly id: string;
  readonly kind: string;
  /** JSON. */
  readonly payload: string;
}

/** The only ways to end and to begin again what a person may do, for commands, SCIM and imports alike. */
export interface Standing {
  /**
   * In one transaction: the person is disabled, the account's sessions, grants, tokens, codes and interactions are
   * gone, open passes are void, and `message` is in the outbox. Nothing happens, and nothing is told, where the person
   * is disabled already; what may have come to the account since ends all the same.
   *
   * @returns whether this call did it
   * @throws StoreError `ERR_STORE_MISSING`
   */
  deactivate(tenant: string, personId: string, message: OutboxMessage): Promise<boolean>;
  /** What ended stays ended. @returns whether this call did it @throws StoreError `ERR_STORE_MISSING` */
  reactivate(tenant: string, personId: string, message: OutboxMessage): Promise<boolean>;
  /**
   * In one transaction: a passkey is gone, be it the last one, and so is all that the account began with whatever
   * passkey; `message` is in the outbox. A crash leaves no session of somebody who holds the passkey.
   *
   * @returns whether it was there
   * @throws StoreError `ERR_STORE_MISSING`: no such person
   */
  removePasskey(
    tenant: string,
    lost: { readonly personId: string; readonly credentialId: Uint8Array },
    message: OutboxMessage,
  ): Promise<boolean>;
}

export function standing(database: Database): Standing {
  return {
    deactivate: (...args) => change(database, "disabled", args),
    reactivate: (...args) => change(database, "active", args),
    removePasskey: (...args) => removePasskey(database, args),
  };
}

function change(
  database: Database,
  status: "active" | "disabled",
  [tenant, id, message]: Parameters<Standing["deactivate"]>,
): Promise<boolean> {
  return database.transact(`person becomes ${status}`, async (tx) => {
    const person = await lockPersonOf(database, tx, [tenant, id]);
    const now = database.now();
    // Also at the return: what was written while the person was disabled must not come to life.
    await tx.deleteFrom("protocol").where("accountId", "=", id).execute();
    await tx
      .updateTable("passes")
      .set({ voidedAt: now })
      .where("personId", "=", id)
      .where("usedAt", "is", null)
      .where("voidedAt", "is", null)
      .execute();
    if (person.status === status) return false;
    const set = { status, updated: now, version: person.version + 1 };
    await tx.updateTable("people").set(set).where("id", "=", id).execute();
    await tell(tx, message, now);
    return true;
  });
}

function removePasskey(
  database: Database,
  [tenant, { personId, credentialId }, message]: Parameters<Standing["removePasskey"]>,
): Promise<boolean> {
  return database.transact("a passkey is taken away", async (tx) => {
    await lockPersonOf(database, tx, [tenant, personId]);
    const query = tx.deleteFrom("passkeys").where("personId", "=", personId);
    const removed = await query.where("credentialId", "=", credentialId).executeTakeFirstOrThrow();
    if (removed.numDeletedRows === 0n) return false;
    await tx.deleteFrom("protocol").where("accountId", "=", personId).execute();
    await tell(tx, message, database.now());
    return true;
  });
}

async function lockPersonOf(
  database: Database,
  tx: Transaction<Tables>,
  [tenant, id]: readonly [tenant: string, id: string],
) {
  const person = await lockPerson(database, tx, id);
  if (person?.tenant !== tenant) throw new StoreError("ERR_STORE_MISSING", "No such person");
  return person;
}

async function tell(tx: Transaction<Tables>, message: OutboxMessage, now: number): Promise<void> {
  const row = { ...message, created: now, nextAttempt: now, attempts: 0 };
  await tx.insertInto("outbox").values(row).execute();
}
