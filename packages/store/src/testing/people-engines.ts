import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_POSTGRES, startPostgresServer, TestClock, type PostgresServer } from "@redoubt/testkit";
import {
  openPeopleStore,
  type PeoplePlace,
  type PeopleStore,
} from "../people/open-people-store.ts";
import type { NewPasskey } from "../people/passkeys.ts";
import type { NewPerson } from "../people/person.ts";

/** Makes empty databases of one engine. */
export interface TestEngine extends AsyncDisposable {
  place(): Promise<PeoplePlace>;
}

export interface EngineKind {
  readonly name: string;
  readonly skip: string | false;
  start(): Promise<TestEngine>;
}

export function sqliteEngine(): TestEngine {
  const folder = mkdtempSync(join(tmpdir(), "people-"));
  let made = 0;
  return {
    place: () => Promise.resolve({ path: join(folder, `${(made += 1)}.sqlite`) }),
    [Symbol.asyncDispose]: () => Promise.resolve(rmSync(folder, { recursive: true })),
  };
}

export async function postgresEngine(
  settings: readonly string[] = [],
): Promise<TestEngine & { readonly server: PostgresServer }> {
  const server = await startPostgresServer();
  let made = 0;
  return {
    server,
    place: async () => ({ url: await server.createDatabase(`db${(made += 1)}`, settings) }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Each contract holds on all of them. The last refuses what runs side by side, as clusters do; it is repeated. */
export const engines: readonly EngineKind[] = [
  { name: "SQLite", skip: false, start: () => Promise.resolve(sqliteEngine()) },
  { name: "PostgreSQL", skip: NO_POSTGRES, start: () => postgresEngine() },
  {
    name: "PostgreSQL, serializable",
    skip: NO_POSTGRES,
    start: () => postgresEngine(["default_transaction_isolation=serializable"]),
  },
];

export interface OpenStore extends AsyncDisposable {
  readonly store: PeopleStore;
  /** Another process's. */
  readonly other: PeopleStore;
  readonly clock: TestClock;
}

/** An empty database, opened twice. */
export async function openTwice(engine: TestEngine): Promise<OpenStore> {
  const clock = new TestClock();
  const place = await engine.place();
  const store = await openPeopleStore(place, { realm: "enterprise", clock });
  const other = await openPeopleStore(place, { realm: "enterprise", clock });
  return {
    store,
    other,
    clock,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    },
  };
}

export function bytes(fill: number, length = 32): Buffer {
  return Buffer.alloc(length, fill);
}

export function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

export function newPerson(number: number, changes: Partial<NewPerson> = {}): NewPerson {
  return {
    id: uuid(number),
    tenant: "acme",
    userName: `person-${number}@acme.test`,
    externalId: null,
    displayName: `Person ${number}`,
    givenName: null,
    familyName: null,
    emails: [],
    status: "active",
    isAdministrator: false,
    onboardedAt: null,
    handle: bytes(number),
    source: "command",
    ...changes,
  };
}

export function newPasskey(number: number, changes: Partial<NewPasskey> = {}): NewPasskey {
  return {
    credentialId: bytes(number, 16),
    personId: uuid(1),
    rpId: "login.acme.test",
    publicKey: bytes(number, 77),
    algorithm: -7,
    counter: 0,
    trust: "attested",
    format: "packed",
    aaguid: uuid(0),
    backupEligible: false,
    backedUp: false,
    transports: ["usb"],
    name: `Key ${number}`,
    createdBy: "pass",
    ...changes,
  };
}
