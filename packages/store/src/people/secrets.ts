import { randomBytes } from "node:crypto";
import { StoreError } from "../errors.ts";
import type { Database } from "./database.ts";

const SECRET_BYTES = 32;

/**
 * 32 random bytes of this name that all processes on the database share, made by whoever asks first.
 *
 * @throws StoreError `ERR_STORE_CORRUPT`, `ERR_STORE_IO`
 */
export function sharedSecret(database: Database, name: string): Promise<Buffer> {
  const row = `secret_${name}`;
  return database.transact("shared secret", async (tx) => {
    const value = randomBytes(SECRET_BYTES).toString("base64url");
    // Of several at once one stays; the others wait for it here, and read it below.
    await tx
      .insertInto("meta")
      .values({ name: row, value })
      .onConflict((conflict) => conflict.column("name").doNothing())
      .execute();
    const kept = await tx
      .selectFrom("meta")
      .select("value")
      .where("name", "=", row)
      .executeTakeFirst();
    const secret = Buffer.from(kept?.value ?? "", "base64url");
    if (secret.length !== SECRET_BYTES)
      throw new StoreError("ERR_STORE_CORRUPT", `Shared secret ${name} is damaged`);
    return secret;
  });
}
