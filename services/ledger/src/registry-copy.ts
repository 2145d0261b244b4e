import { DatabaseSync } from "node:sqlite";
import { splitBlobs } from "@redoubt/wire";
import { historyError } from "./errors.ts";
import { Store } from "./store.ts";

const PAGE = 256;

/**
 * The statements of a registry in a copy of a ledger's database, in order, as far as they can be read. Nothing of it is
 * checked: whoever takes it computes the root.
 */
export function readRegistryCopy(
  path: string,
  origin: string,
): { readonly statement: Buffer; readonly envelope: Buffer }[] {
  const store = new Store(new DatabaseSync(path, { readOnly: true }));
  try {
    const items: { readonly statement: Buffer; readonly envelope: Buffer }[] = [];
    for (;;) {
      const rows = store.bodies(origin, items.length, PAGE);
      if (rows.length === 0 || rows[0]?.first !== items.length) return items;
      for (const { blobs } of rows) {
        const [statement, envelope] = splitBlobs(blobs, 2);
        if (!statement || !envelope) throw historyError("Registry bodies are missing");
        items.push({ statement, envelope });
      }
    }
  } finally {
    store.close();
  }
}
