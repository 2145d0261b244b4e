import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { StoreError } from "./errors.ts";
import type { KeptEntry, RegistryRepository } from "./repositories.ts";

const HEAD = /^(\d{1,15}) ([0-9a-f]{64})$/;

export function sqliteRegistry(database: DatabaseSync): RegistryRepository {
  const select = database.prepare("select * from registry where position >= ? order by position");
  const insert = database.prepare("insert into registry values (?, ?, ?, ?, ?)");
  const selectHead = database.prepare("select value from meta where name = 'registry_head'");
  const setHead = database.prepare("insert or replace into meta values ('registry_head', ?)");
  return {
    *all(from = 0) {
      for (const row of select.iterate(from)) yield readEntry(row);
    },
    head: () => readHead(selectHead.get()?.["value"]),
    put: (entries, { size, root }) =>
      inTransaction(database, () => {
        for (const { index, entry, ...bodies } of entries) {
          const { statement = null, envelope = null, credentials = null } = bodies;
          insert.run(index, entry, statement, envelope, credentials);
        }
        setHead.run(`${size} ${root.toString("hex")}`);
      }),
    clear: () => inTransaction(database, () => database.exec("delete from registry")),
  };
}

function inTransaction(database: DatabaseSync, work: () => void): void {
  try {
    database.exec("begin immediate");
    work();
    database.exec("commit");
  } catch (cause) {
    if (database.isTransaction) database.exec("rollback");
    throw new StoreError("ERR_STORE_IO", "Store failed: entries of the registry", { cause });
  }
}

function readEntry(row: Readonly<Record<string, SQLOutputValue>>): KeptEntry {
  const { position, entry } = row;
  if (typeof position !== "number" || !(entry instanceof Uint8Array)) throw corrupt();
  const [statement, envelope, credentials] = [
    row["statement"],
    row["envelope"],
    row["credentials"],
  ].map((value) => {
    if (value === null || value instanceof Uint8Array) return value ?? undefined;
    throw corrupt();
  });
  return { index: position, entry, statement, envelope, credentials };
}

function readHead(value: SQLOutputValue | undefined): ReturnType<RegistryRepository["head"]> {
  if (value === undefined) return undefined;
  const [, size, root] = (typeof value === "string" && HEAD.exec(value)) || [];
  if (size === undefined || root === undefined) throw corrupt();
  return { size: Number(size), root: Buffer.from(root, "hex") };
}

function corrupt(): StoreError {
  return new StoreError("ERR_STORE_CORRUPT", "Store holds a malformed entry of the registry");
}
