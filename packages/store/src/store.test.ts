import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { Directory } from "./directory.ts";
import { MIGRATIONS } from "./migrations.ts";
import { parseClient, parseTenant, type Client, type Tenant } from "./records.ts";
import { openSqliteStore, type SqliteOptions } from "./sqlite.ts";
import { SqliteReplay } from "./sqlite-replay.ts";

const T1 = "11111111-1111-4111-8111-111111111111";
const T2 = "22222222-2222-4222-8222-222222222222";
const HASH = hash("sha256", "secret", "base64url");

function temporaryFile(): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), "store-"));
  return {
    path: join(folder, "store.sqlite"),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

function open(path: string, options: Partial<SqliteOptions> = {}) {
  return openSqliteStore({ path, realm: "enterprise", clock: { now: () => 1000_000 }, ...options });
}

function tenant(change: Partial<Tenant> = {}): Tenant {
  return {
    tenant: T1,
    status: "active",
    audiences: ["api://a", "api://b"],
    statement: 5,
    ...change,
  };
}

function client(change: Partial<Client> = {}): Client {
  return {
    tenant: T1,
    client: "app",
    status: "active",
    audiences: ["api://a"],
    scopes: ["read"],
    auth: { method: "client_secret_basic", secretHash: HASH },
    statement: 6,
    ...change,
  };
}

const jwtClient = client({
  client: "jwt",
  auth: { method: "private_key_jwt", jwks: { keys: [{ kty: "OKP", kid: "1" }] } },
});

function key(name: string): Buffer {
  return hash("sha256", name, "buffer");
}

describe("Directory on SQLite", () => {
  test("what was put is there at once, and after a restart", async () => {
    using file = temporaryFile();
    {
      using store = open(file.path);
      const directory = await Directory.open(store);
      assert.equal(directory.client(T1, "app"), undefined);
      await directory.putTenant(tenant());
      await directory.putClient(client({ status: "disabled" }));
      await directory.putClient(client());
      await directory.putClient(jwtClient);
      assert.deepEqual(directory.client(T1, "app"), client());
    }
    using store = open(file.path);
    const directory = await Directory.open(store);
    assert.deepEqual(directory.tenants(), [tenant()]);
    assert.deepEqual(directory.clients(T1), [client(), jwtClient]);
    assert.deepEqual(directory.clients(T2), []);
    assert.deepEqual(directory.counts(), { tenants: 1, clients: 2 });
    assert.equal(directory.client(T2, "app"), undefined);
  });

  test("an older statement undoes nothing, the same one may come again", async () => {
    using file = temporaryFile();
    using store = open(file.path);
    const directory = await Directory.open(store);
    await directory.putTenant(tenant());
    await directory.putTenant(tenant());
    await assert.rejects(directory.putTenant(tenant({ statement: 4 })), {
      code: "ERR_STORE_STALE",
    });
    await directory.putClient(client({ status: "disabled" }));
    await assert.rejects(directory.putClient(client({ statement: 5 })), {
      code: "ERR_STORE_STALE",
    });
    assert.equal(directory.client(T1, "app")?.status, "disabled");
    // A change that names no statement is the operator's own.
    const { statement: _, ...unnamed } = client();
    await directory.putClient(unnamed);
    assert.deepEqual(directory.client(T1, "app"), unnamed);
    await directory.putTenant({ tenant: T2, status: "active", audiences: [] });
    assert.equal((await Directory.open(store)).client(T1, "app")?.statement, undefined);
  });

  test("audiences and client ids stay disjoint, a client's audiences are its tenant's", async () => {
    using file = temporaryFile();
    using store = open(file.path);
    const directory = await Directory.open(store);
    await assert.rejects(directory.putClient(client()), { code: "ERR_STORE_CONFLICT" });
    await directory.putTenant(tenant());
    const refused = [client({ client: "api://b" }), client({ audiences: ["api://c"] })];
    for (const one of refused)
      await assert.rejects(directory.putClient(one), { code: "ERR_STORE_CONFLICT" });
    await directory.putClient(client());
    await assert.rejects(directory.putTenant(tenant({ tenant: T2, audiences: ["app"] })), {
      code: "ERR_STORE_CONFLICT",
    });
    assert.deepEqual(directory.counts(), { tenants: 1, clients: 1 });
  });

  test("bounds hold for new rows only", async () => {
    using file = temporaryFile();
    using store = open(file.path);
    const directory = await Directory.open(store, { tenants: 1, clients: 1 });
    await directory.putTenant(tenant());
    await directory.putClient(client());
    await assert.rejects(directory.putTenant(tenant({ tenant: T2 })), { code: "ERR_STORE_FULL" });
    await assert.rejects(directory.putClient(jwtClient), { code: "ERR_STORE_FULL" });
    await directory.putTenant(tenant({ status: "suspended", statement: 7 }));
    assert.equal(directory.tenant(T1)?.status, "suspended");
  });

  test("a write that fails changes nothing in memory, and later ones go on", async () => {
    using file = temporaryFile();
    using store = open(file.path);
    let isBroken = true;
    const tenants = {
      all: () => store.tenants.all(),
      put: (one: Tenant) =>
        isBroken ? Promise.reject(new Error("disk full")) : store.tenants.put(one),
    };
    const directory = await Directory.open({ tenants, clients: store.clients });
    await assert.rejects(directory.putTenant(tenant()), /disk full/);
    assert.equal(directory.tenant(T1), undefined);
    isBroken = false;
    await directory.putTenant(tenant());
    assert.deepEqual(directory.tenant(T1), tenant());
  });
});

describe("opening", () => {
  test("one process holds a store, of one realm", async () => {
    using file = temporaryFile();
    {
      using store = open(file.path);
      assert.deepEqual(await store.tenants.all(), []);
      assert.throws(() => open(file.path), { code: "ERR_STORE_LOCKED" });
    }
    // THREAT-34: cross-realm.
    assert.throws(() => open(file.path, { realm: "consumer" }), { code: "ERR_STORE_REALM" });
    using again = open(file.path);
    assert.deepEqual(await again.clients.all(), []);
  });

  test("a newer version and a malformed row are refused", async () => {
    using file = temporaryFile();
    open(file.path)[Symbol.dispose]();
    const edit = (sql: string): void => {
      const database = new DatabaseSync(file.path);
      database.exec(sql);
      database.close();
    };
    edit(`insert into tenant values ('${T1}', 'glorious', '[]', 1)`);
    {
      using store = open(file.path);
      await assert.rejects(store.tenants.all(), { code: "ERR_STORE_CORRUPT" });
    }
    edit("pragma user_version = 99");
    assert.throws(() => open(file.path), { code: "ERR_STORE_VERSION" });
  });

  test("a file that is no database and a missing folder are refused", () => {
    using file = temporaryFile();
    assert.throws(() => open(join(file.path, "x", "y")), { code: "ERR_STORE_IO" });
    writeFileSync(file.path, "not a database, ".repeat(100));
    assert.throws(() => open(file.path), { code: "ERR_STORE_IO" });
  });
});

describe("one-time values (THREAT-34)", () => {
  const NOW = 1000;

  test("the second use is refused, within a turn, later, and after a restart", async () => {
    using file = temporaryFile();
    {
      using store = open(file.path);
      const sameTurn = [store.replay.use(key("a"), NOW + 60), store.replay.use(key("a"), NOW + 60)];
      assert.deepEqual(await Promise.all(sameTurn), [true, false]);
      assert.equal(await store.replay.use(key("a"), NOW + 90), false);
      assert.equal(await store.replay.use(key("b"), NOW + 60), true);
    }
    using store = open(file.path);
    assert.equal(await store.replay.use(key("a"), NOW + 60), false);
    assert.equal(await store.replay.use(key("c"), NOW + 60), true);
  });

  test("full means refused; only expired values make room", async () => {
    using file = temporaryFile();
    let now = NOW;
    using store = open(file.path, { maxReplay: 2, clock: { now: () => now * 1000 } });
    assert.equal(await store.replay.use(key("a"), NOW + 10), true);
    assert.equal(await store.replay.use(key("b"), NOW + 20), true);
    await assert.rejects(store.replay.use(key("c"), NOW + 20), { code: "ERR_STORE_FULL" });
    now = NOW + 9;
    await assert.rejects(store.replay.use(key("c"), NOW + 20), { code: "ERR_STORE_FULL" });
    now = NOW + 10;
    assert.equal(await store.replay.use(key("c"), NOW + 20), true);
    await assert.rejects(store.replay.use(key("d"), NOW + 20), { code: "ERR_STORE_FULL" });
    now = NOW + 20;
    assert.equal(await store.replay.use(key("d"), NOW + 30), true);
  });

  test("THREAT-29: a clock set back does not bring forgotten values to life", async () => {
    using file = temporaryFile();
    let now = NOW;
    const clock = { now: () => now * 1000 };
    {
      using store = open(file.path, { clock });
      assert.equal(await store.replay.use(key("a"), NOW + 10), true);
      now = NOW + 100;
      assert.equal(await store.replay.use(key("b"), NOW + 200), true);
    }
    now = NOW;
    using store = open(file.path, { clock });
    assert.equal(await store.replay.use(key("a"), NOW + 10), false);
    assert.equal(await store.replay.use(key("z"), NOW + 100), false);
    assert.equal(await store.replay.use(key("z"), NOW + 101), true);
  });

  test("what waits is decided at close; later uses are refused", async () => {
    using file = temporaryFile();
    const store = open(file.path);
    const pending = store.replay.use(key("a"), NOW + 60);
    store[Symbol.dispose]();
    assert.equal(await pending, true);
    await assert.rejects(store.replay.use(key("b"), NOW + 60), { code: "ERR_STORE_IO" });
  });

  test("a full disk refuses the use, and nothing of it counts afterwards", async () => {
    const database = new DatabaseSync(":memory:");
    database.exec(MIGRATIONS.join(";"));
    const replay = new SqliteReplay(database, { now: () => NOW, max: 10_000 });
    assert.equal(await replay.use(key("a"), NOW + 60), true);
    database.exec("pragma max_page_count = 8");
    const uses = Array.from({ length: 2000 }, (_, i) => replay.use(key(`x${i}`), NOW + 60));
    const results = await Promise.allSettled(uses);
    assert.equal(results.filter(({ status }) => status === "rejected").length, 2000);
    database.exec("pragma max_page_count = 100000");
    assert.equal(await replay.use(key("x0"), NOW + 60), true);
    assert.equal(await replay.use(key("a"), NOW + 60), false);
    database.close();
  });

  test("a bounded number waits for one turn", async () => {
    using file = temporaryFile();
    using store = open(file.path);
    const uses = Array.from({ length: 4097 }, (_, i) => store.replay.use(key(String(i)), NOW + 60));
    const results = await Promise.allSettled(uses);
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 4096);
    assert.equal(results.at(-1)?.status, "rejected");
  });
});

describe("records", () => {
  const { statement = 0, ...rest } = client();
  const valid = { ...rest, statement, auth: { method: "client_secret_basic", secretHash: HASH } };
  const { statement: at = 0, ...named } = tenant();
  const validTenant = { ...named, statement: at };

  test("a client and a tenant are read strictly", () => {
    assert.deepEqual(parseClient(valid), client());
    assert.deepEqual(parseTenant(validTenant), tenant());
    const mutations = [
      { tenant: "11111111" },
      { tenant: T1.replaceAll("1", "A") },
      { client: "" },
      { client: "with space" },
      { client: "x".repeat(129) },
      { status: "suspended" },
      { audiences: "api://a" },
      { scopes: [1] },
      { scopes: Array.from({ length: 65 }, () => "s") },
      { statement: -1 },
      { statement: 1.5 },
      { extra: 1 },
      { auth: { method: "none" } },
      { auth: { method: "client_secret_basic", secretHash: "short" } },
      { auth: { method: "client_secret_basic", secretHash: HASH, secret: "x" } },
      { auth: { method: "private_key_jwt", jwks: [{ kty: "OKP" }] } },
      { auth: { method: "private_key_jwt", jwks: { keys: [{}], more: 1 } } },
      { auth: { method: "private_key_jwt", jwks: { keys: [] } } },
      { auth: { method: "private_key_jwt", jwks: { keys: ["x"] } } },
      {
        auth: { method: "private_key_jwt", jwks: { keys: Array.from({ length: 9 }, () => ({})) } },
      },
    ];
    for (const mutation of mutations)
      assert.throws(
        () => parseClient({ ...valid, ...mutation }),
        { code: "ERR_REQUEST_MEMBER" },
        JSON.stringify(mutation),
      );
    for (const mutation of [{ status: "disabled" }, { tenant: "x" }, { statement: "5" }, { x: 1 }])
      assert.throws(() => parseTenant({ ...validTenant, ...mutation }), {
        code: "ERR_REQUEST_MEMBER",
      });
  });
});
