import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/**
 * Whether a people store that is not open has messages that nobody has sent yet. It costs a fraction of opening it; what
 * it cannot read, it takes for one that has.
 */
export function hasMessages(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    using database = closing(new DatabaseSync(path, { readOnly: true }));
    return database.value.prepare("select 1 from outbox limit 1").get() !== undefined;
  } catch {
    return true;
  }
}

function closing(value: DatabaseSync): Disposable & { readonly value: DatabaseSync } {
  return { value, [Symbol.dispose]: () => value.close() };
}
