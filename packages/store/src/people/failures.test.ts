import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { NO_POSTGRES, TestClock } from "@redoubt/testkit";
import { sql } from "kysely";
import {
  engines,
  newPerson,
  openTwice,
  postgresEngine,
  sqliteEngine,
  uuid,
  type EngineKind,
  type TestEngine,
} from "../testing/people-engines.ts";
import { Database } from "./database.ts";
import { migratePeople } from "./migrate.ts";
import { openEngine, openPeopleStore, type PeoplePlace } from "./open-people-store.ts";
import { SqliteDriver, whileBusy } from "./sqlite-driver.ts";
import { openSqliteEngine } from "./sqlite-engine.ts";
import { standing } from "./standing.ts";
import { peopleRepository } from "./people.ts";

const REALM = "enterprise";
const MESSAGE = { id: "m", kind: "disabled", payload: "{}" };
const run = promisify(execFile);

/** Runs statements in a process of its own, with `place` and the module of the store at hand. */
function elsewhere(place: PeoplePlace, statements: string): Promise<unknown> {
  const module = JSON.stringify(new URL("./open-people-store.ts", import.meta.url).href);
  const code = `
    const { registerHooks } = await import("node:module");
    const loaded = [];
    registerHooks({ resolve: (name, context, next) => (loaded.push(name), next(name, context)) });
    const { openEngine, openPeopleStore } = await import(${module});
    const place = JSON.parse(process.argv[1]);
    const options = { realm: "${REALM}", clock: Date };
    ${statements}`;
  return run(process.execPath, ["--input-type=module", "-e", code, JSON.stringify(place)]);
}

async function edit(place: PeoplePlace, member: string, value: string): Promise<void> {
  const { kysely } = await openEngine(place);
  await kysely.updateTable("meta").set({ value }).where("name", "=", member).execute();
  await kysely.destroy();
}

async function path(engine: TestEngine): Promise<string> {
  const place = await engine.place();
  assert.ok("path" in place);
  return place.path;
}

function opening(kind: EngineKind): void {
  describe(`a people store on ${kind.name}`, { skip: kind.skip }, () => {
    const options = { realm: REALM, clock: new TestClock() };
    let engine: TestEngine;
    before(async () => {
      engine = await kind.start();
    });
    after(() => engine[Symbol.asyncDispose]());

    test("is of one realm and of no later version", async () => {
      const place = await engine.place();
      const store = await openPeopleStore(place, options);
      await store.people.add(newPerson(1));
      await store[Symbol.asyncDispose]();
      const closed = store.people.find("acme", { id: uuid(1) });
      await assert.rejects(closed, { code: "ERR_STORE_IO" });
      // THREAT-34: cross-realm.
      const asOther = openPeopleStore(place, { ...options, realm: "consumer" });
      await assert.rejects(asOther, { code: "ERR_STORE_REALM" });
      for (const [value, code] of [
        ["3", "ERR_STORE_VERSION"],
        ["one", "ERR_STORE_CORRUPT"],
      ] as const) {
        await edit(place, "people_version", value);
        await assert.rejects(openPeopleStore(place, options), { code });
      }
      await edit(place, "people_version", "2");
      await using again = await openPeopleStore(place, options);
      assert.equal((await again.people.find("acme", { id: uuid(1) }))?.version, 1);
    });

    test("a shared secret that somebody shortened, lengthened or removed is not one", async () => {
      const place = await engine.place();
      await using store = await openPeopleStore(place, options);
      const secret = await store.secret("dpop");
      for (const value of ["", secret.toString("base64url").slice(0, 42), "A".repeat(44), "?"]) {
        await edit(place, "secret_dpop", value);
        await assert.rejects(store.secret("dpop"), { code: "ERR_STORE_CORRUPT" });
      }
      await edit(place, "secret_dpop", secret.toString("base64url"));
      assert.deepEqual(await store.secret("dpop"), secret);
    });

    test("is made once by three processes that start at once", async () => {
      const place = await engine.place();
      const start3 = Array.from({ length: 3 }, () =>
        elsewhere(
          place,
          `const store = await openPeopleStore(place, options);
           await store.tallies.add("x");
           await store[Symbol.asyncDispose]();`,
        ),
      );
      await Promise.all(start3);
      await using store = await openPeopleStore(place, options);
      const tallies = await store.tallies.read(0, 1_000_000);
      const total = tallies.reduce((sum, { count }) => sum + count, 0);
      assert.equal(total, 3);
    });

    test("holds what was answered when its process was killed, and nothing of what was under way", async () => {
      const place = await engine.place();
      const killed = elsewhere(
        place,
        `const store = await openPeopleStore(place, options);
         await store.tallies.add("kept");
         const { kysely } = await openEngine(place);
         await kysely.transaction().execute(async (tx) => {
           await tx.insertInto("tallies").values({ day: 1, tier: "lost", count: 1 }).execute();
           process.kill(process.pid, "SIGKILL");
           await new Promise(() => setInterval(() => {}, 1000));
         });`,
      );
      await assert.rejects(killed, { signal: "SIGKILL" });
      await using store = await openPeopleStore(place, options);
      const tiers = (await store.tallies.read(0, 1_000_000)).map(({ tier }) => tier);
      assert.deepEqual(tiers, ["kept"]);
    });

    test("malformed lists are told", async () => {
      const place = await engine.place();
      await using store = await openPeopleStore(place, options);
      await store.people.add(newPerson(1));
      const { kysely } = await openEngine(place);
      for (const emails of [
        "{",
        "{}",
        "[1]",
        "[null]",
        '[{"value":1}]',
        '[{"value":"a","type":1}]',
      ]) {
        await kysely.updateTable("people").set({ emails }).execute();
        const found = store.people.find("acme", { id: uuid(1) });
        await assert.rejects(found, { code: "ERR_STORE_CORRUPT" });
      }
      await kysely.destroy();
    });
  });
}

for (const engine of engines) opening(engine);

describe("a people store in a file", () => {
  const clock = new TestClock();
  const options = { realm: REALM, clock };

  test("is nobody else's to read, and opens without PostgreSQL's driver", async () => {
    await using engine = sqliteEngine();
    const file = await path(engine);
    const opens = "await openPeopleStore(place, options);";
    await elsewhere({ path: file }, `${opens} if (loaded.includes("pg")) process.exit(1);`);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  test("must be a database in a folder that there is", async () => {
    await using engine = sqliteEngine();
    const file = await path(engine);
    const missing = openPeopleStore({ path: join(file, "x") }, options);
    await assert.rejects(missing, { code: "ERR_STORE_IO" });
    writeFileSync(file, "not a database, ".repeat(100));
    await assert.rejects(openPeopleStore({ path: file }, options), { code: "ERR_STORE_IO" });
  });

  test("is copied whole while work goes on", async () => {
    await using engine = sqliteEngine();
    const place = { path: await path(engine) };
    await using store = await openPeopleStore(place, options);
    await store.people.add(newPerson(1));
    const copy = `${place.path}.copy`;
    writeFileSync(copy, "older");
    await Promise.all([store.backup(copy), store.people.add(newPerson(2))]);
    await using copied = await openPeopleStore({ path: copy }, options);
    assert.equal((await copied.people.find("acme", { id: uuid(1) }))?.id, uuid(1));
    const nowhere = store.backup(join(copy, "x"));
    await assert.rejects(nowhere, { code: "ERR_STORE_IO" });
    assert.equal(existsSync(copy), true);
  });

  test("waits while another process writes, but not for ever", async () => {
    await using engine = sqliteEngine();
    const file = await path(engine);
    await using store = await openPeopleStore({ path: file }, options);
    using writer = new DatabaseSync(file, { timeout: 0 });
    writer.exec("begin immediate");
    const waits = store.people.add(newPerson(1));
    using other = new DatabaseSync(file, { timeout: 0 });
    let attempts = 0;
    const refused = whileBusy(() => {
      attempts += 1;
      other.exec("begin immediate");
    }, 2);
    const error: unknown = await refused.catch((cause: unknown) => cause);
    const again = await openSqliteEngine(file);
    assert.deepEqual([attempts, again.classify(error).kind], [2, "locked"]);
    await again.kysely.destroy();
    writer.exec("commit");
    assert.equal((await waits).id, uuid(1));
  });

  test("a bounded number waits for the one connection, in its order", async () => {
    const driver = new SqliteDriver(new DatabaseSync(":memory:"));
    await driver.acquireConnection();
    const served: number[] = [];
    const waits = Array.from({ length: 4096 }, async (_, index) => {
      await driver.acquireConnection();
      served.push(index);
      await driver.releaseConnection();
    });
    await assert.rejects(driver.acquireConnection(), { code: "ERR_STORE_FULL" });
    await driver.releaseConnection();
    await Promise.all(waits);
    assert.deepEqual(
      served,
      waits.map((_, index) => index),
    );
    await driver.acquireConnection();
    await driver.destroy();
  });

  test("a full disk leaves nothing half done", async () => {
    await using files = sqliteEngine();
    const engine = await openSqliteEngine(await path(files));
    const database = new Database(engine, clock);
    await migratePeople(database, REALM);
    const people = peopleRepository(database);
    await people.add(newPerson(1));
    await sql.raw("pragma max_page_count = 60").execute(engine.kysely);
    const message = { ...MESSAGE, payload: "x".repeat(1_000_000) };
    const full = standing(database).deactivate("acme", uuid(1), message);
    await assert.rejects(full, { code: "ERR_STORE_IO" });
    assert.equal((await people.find("acme", { id: uuid(1) }))?.status, "active");
    await sql.raw("pragma max_page_count = 10000").execute(engine.kysely);
    assert.equal(await standing(database).deactivate("acme", uuid(1), message), true);
    await engine.kysely.destroy();
  });
});

describe("a people store on a server", { skip: NO_POSTGRES }, () => {
  let engine: Awaited<ReturnType<typeof postgresEngine>>;
  before(async () => {
    engine = await postgresEngine();
  });
  after(() => engine[Symbol.asyncDispose]());
  const options = { realm: REALM, clock: new TestClock() };
  const BREAK = `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'redoubt'`;

  test("must acknowledge only what survives a power cut", async () => {
    const url = await engine.server.createDatabase("unsafe", ["synchronous_commit=off"]);
    await assert.rejects(openPeopleStore({ url }, options), { code: "ERR_STORE_UNSAFE" });
  });

  test("is backed up by its own tools", async () => {
    await using store = await openPeopleStore(await engine.place(), options);
    await assert.rejects(store.backup("/nowhere"), { code: "ERR_STORE_UNSUPPORTED" });
  });

  test("a connection that breaks within a transaction leaves nothing of it", async () => {
    const place = await engine.place();
    await using store = await openPeopleStore(place, options);
    const broken = await openEngine(place);
    const database = new Database(broken, options.clock);
    const lost = database.transact("lost", async (tx) => {
      await tx.insertInto("tallies").values({ day: 1, tier: "before", count: 1 }).execute();
      await engine.server.sql("postgres", BREAK);
      await tx.insertInto("tallies").values({ day: 1, tier: "after", count: 1 }).execute();
    });
    await assert.rejects(lost, { code: "ERR_STORE_IO" });
    assert.deepEqual(await store.tallies.read(0, 10), []);
    await broken.kysely.destroy();
  });

  test("connections that break under load leave each person as a whole", async () => {
    await using open = await openTwice(engine);
    const { store } = open;
    const numbers = Array.from({ length: 60 }, (_, n) => n);
    await Promise.all(numbers.map((n) => store.people.add(newPerson(n))));
    const changes = numbers.map((n) =>
      store.standing.deactivate("acme", uuid(n), { ...MESSAGE, id: uuid(n) }),
    );
    const settled = Promise.allSettled(changes);
    await engine.server.sql("postgres", BREAK);
    for (const result of await settled)
      if (result.status === "rejected") assert.equal(Object(result.reason).code, "ERR_STORE_IO");
    const { people } = await open.other.people.list("acme", { startIndex: 1, count: 100 });
    const disabled = people.filter(({ status }) => status === "disabled").map(({ id }) => id);
    const told = (await open.other.outbox.lease(60, 100)).map(({ id }) => id);
    assert.deepEqual(told.toSorted(), disabled.toSorted());
  });

  test("a server that crashes is an error while it is away, and found again", async () => {
    await using open = await openTwice(engine);
    const { store, other } = open;
    await store.people.add(newPerson(1));
    await engine.server.crash();
    for (const each of [store, other])
      await assert.rejects(each.people.add(newPerson(2)), { code: "ERR_STORE_IO" });
    const url = "postgres://test@/none?host=/nonexistent";
    await assert.rejects(openPeopleStore({ url }, options), { code: "ERR_STORE_IO" });
    await engine.server.start();
    for (const each of [store, other])
      assert.equal((await each.people.find("acme", { id: uuid(1) }))?.id, uuid(1));
    assert.equal((await store.people.add(newPerson(2))).id, uuid(2));
  });
});

describe("THREAT-34: a PostgreSQL on another machine", () => {
  // Nothing of these is ever reached: TEST-NET-1, RFC 5737 §3, and a name that cannot be, RFC 2606 §2.
  for (const query of [
    "",
    "?sslmode=disable",
    "?sslmode=no-verify",
    "?application_name=verify-full",
  ])
    for (const host of ["192.0.2.1", "db.invalid", "127.0.0.1.invalid"])
      test(`is not spoken to without a verified certificate: ${host}${query}`, async () => {
        const opened = openEngine({ url: `postgres://u:p@${host}/people${query}` });
        await assert.rejects(opened, { code: "ERR_STORE_UNSAFE" });
      });

  test("is spoken to with one, and one on this machine also without", async () => {
    for (const url of [
      "postgres://u:p@db.invalid:1/people?sslmode=verify-full",
      "postgres://u:p@127.0.0.1:1/people",
      "postgres://u:p@localhost:1/people",
      "postgres://u:p@[::1]:1/people",
      "postgres://u@/people?host=/nowhere",
    ])
      await assert.rejects(openEngine({ url }), { code: "ERR_STORE_IO" }, url);
  });
});
