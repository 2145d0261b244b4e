import { DatabaseSync } from "node:sqlite";
import { splitStatement, type StatementBodies } from "./bodies.ts";
import { Store } from "./store.ts";

const PAGE = 256;

/**
 * The statements of a registry in a copy of a ledger's database, in order, as far as they can be read. Nothing of it is
 * checked: whoever takes it computes the root.
 */
export function readRegistryCopy(path: string, origin: string): StatementBodies[] {
  const store = new Store(new DatabaseSync(path, { readOnly: true }));
  try {
    const items: StatementBodies[] = [];
    for (;;) {
      const rows = store.bodies(origin, items.length, PAGE);
      if (rows.length === 0 || rows[0]?.first !== items.length) return items;
      for (const { blobs } of rows) items.push(splitStatement(blobs));
    }
  } finally {
    store.close();
  }
}
