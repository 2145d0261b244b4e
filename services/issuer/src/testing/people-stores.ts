import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PeoplePlace, PeopleStore } from "@redoubt/store";
import { openPeopleStore } from "@redoubt/store/people";
import { NO_POSTGRES, startPostgresServer, TestClock } from "@redoubt/testkit";

/** Makes empty stores of one engine. */
export interface StoreKind {
  readonly name: string;
  readonly skip: string | false;
  start(): Promise<StoreMaker>;
}

export interface StoreMaker extends AsyncDisposable {
  open(): Promise<{ readonly store: PeopleStore; readonly clock: TestClock }>;
}

/** Both engines, as they run. */
export const STORE_KINDS: readonly StoreKind[] = [
  { name: "SQLite", skip: false, start: () => Promise.resolve(sqlite()) },
  { name: "PostgreSQL", skip: NO_POSTGRES, start: postgres },
];

export function sqlite(): StoreMaker {
  const folder = mkdtempSync(join(tmpdir(), "accounts-"));
  let made = 0;
  return maker(
    () => Promise.resolve({ path: join(folder, `${(made += 1)}.sqlite`) }),
    () => Promise.resolve(rmSync(folder, { recursive: true })),
  );
}

async function postgres(): Promise<StoreMaker> {
  const server = await startPostgresServer();
  let made = 0;
  return maker(
    async () => ({ url: await server.createDatabase(`db${(made += 1)}`) }),
    async () => server[Symbol.asyncDispose](),
  );
}

function maker(place: () => Promise<PeoplePlace>, end: () => Promise<void>): StoreMaker {
  const open: PeopleStore[] = [];
  return {
    open: async () => {
      const clock = new TestClock();
      const store = await openPeopleStore(await place(), { realm: "enterprise", clock });
      open.push(store);
      return { store, clock };
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(open.map((store) => store[Symbol.asyncDispose]()));
      await end();
    },
  };
}
