import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { MIGRATIONS } from "./migrations.ts";
import type { KeptEntry, OneTimeValue, Store } from "./repositories.ts";
import { openSqliteStore, type SqliteOptions } from "./sqlite.ts";
import { SqliteReplay } from "./sqlite-replay.ts";

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

function key(name: string): Buffer {
  return hash("sha256", name, "buffer");
}

function value(name: string, expiresSeconds: number, owner = "one"): OneTimeValue {
  return { key: key(name), owner, expiresSeconds };
}

/** Rows of one-time values, in a copy of the store. */
async function remaining(path: string, store: Store): Promise<unknown> {
  const copy = `${path}.copy`;
  await store.backup(copy);
  using database = new DatabaseSync(copy);
  return database.prepare("select count(*) n from replay").get()?.["n"];
}

function plain({ index, ...bytes }: KeptEntry): unknown {
  return [index, ...Object.values(bytes).map((one) => one && Buffer.from(one).toString("hex"))];
}

describe("entries of the registry", () => {
  const entries: readonly KeptEntry[] = [
    { index: 0, entry: key("0"), statement: key("s"), envelope: key("e"), credentials: key("c") },
    {
      index: 1,
      entry: key("1"),
      statement: undefined,
      envelope: undefined,
      credentials: undefined,
    },
    { index: 2, entry: key("2"), statement: key("t"), envelope: key("f"), credentials: undefined },
  ];
  const head = { size: 3, root: key("root") };

  test("are there after a restart, with the tree that they had", () => {
    using file = temporaryFile();
    {
      using store = open(file.path);
      assert.deepEqual([store.registry.head(), [...store.registry.all()]], [undefined, []]);
      store.registry.put(entries.slice(0, 1), { size: 1, root: key("first") });
      store.registry.put(entries.slice(1), head);
    }
    using store = open(file.path);
    assert.deepEqual(store.registry.head(), head);
    assert.deepEqual([...store.registry.all()].map(plain), entries.map(plain));
    store.registry.clear();
    assert.deepEqual([store.registry.head(), [...store.registry.all()]], [head, []]);
  });

  test("are put all or none, and a full disk changes nothing", () => {
    using file = temporaryFile();
    using store = open(file.path);
    store.registry.put(entries, head);
    const again = [
      { index: 3, entry: key("3") },
      { index: 1, entry: key("1") },
    ];
    const code = "ERR_STORE_IO";
    assert.throws(() => store.registry.put(again, { size: 5, root: key("x") }), { code });
    assert.deepEqual([store.registry.head(), [...store.registry.all()].length], [head, 3]);
  });
});

describe("opening", () => {
  test("one process holds a store, of one realm", () => {
    using file = temporaryFile();
    {
      using store = open(file.path);
      assert.equal(store.registry.head(), undefined);
      assert.throws(() => open(file.path), { code: "ERR_STORE_LOCKED" });
    }
    // THREAT-34: cross-realm.
    assert.throws(() => open(file.path, { realm: "consumer" }), { code: "ERR_STORE_REALM" });
    using again = open(file.path);
    assert.equal(again.registry.head(), undefined);
  });

  test("a newer version and a malformed row are refused", () => {
    using file = temporaryFile();
    open(file.path)[Symbol.dispose]();
    const edit = (sql: string): void => {
      const database = new DatabaseSync(file.path);
      database.exec(sql);
      database.close();
    };
    edit("insert into meta values ('registry_head', '5 trees')");
    {
      using store = open(file.path);
      assert.throws(() => store.registry.head(), { code: "ERR_STORE_CORRUPT" });
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
      const sameTurn = [
        store.replay.use(value("a", NOW + 60)),
        store.replay.use(value("a", NOW + 60)),
      ];
      assert.deepEqual(await Promise.all(sameTurn), [true, false]);
      assert.equal(await store.replay.use(value("a", NOW + 90)), false);
      assert.equal(await store.replay.use(value("b", NOW + 60)), true);
    }
    using store = open(file.path);
    assert.equal(await store.replay.use(value("a", NOW + 60)), false);
    assert.equal(await store.replay.use(value("c", NOW + 60)), true);
  });

  test("full means refused; only expired values make room", async () => {
    using file = temporaryFile();
    let now = NOW;
    using store = open(file.path, {
      replayLimits: { all: 2, reserved: 0 },
      clock: { now: () => now * 1000 },
    });
    assert.equal(await store.replay.use(value("a", NOW + 10)), true);
    assert.equal(await store.replay.use(value("b", NOW + 20)), true);
    await assert.rejects(store.replay.use(value("c", NOW + 20)), { code: "ERR_STORE_FULL" });
    now = NOW + 9;
    await assert.rejects(store.replay.use(value("c", NOW + 20)), { code: "ERR_STORE_FULL" });
    now = NOW + 10;
    assert.equal(await store.replay.use(value("c", NOW + 20)), true);
    await assert.rejects(store.replay.use(value("d", NOW + 20)), { code: "ERR_STORE_FULL" });
    now = NOW + 20;
    assert.equal(await store.replay.use(value("d", NOW + 30)), true);
  });

  test("THREAT-36: one owner has a share, and what it fills keeps nobody else out, after a restart either", async () => {
    using file = temporaryFile();
    let now = NOW;
    const options = {
      replayLimits: { all: 6, ofOne: 4, reserved: 2 },
      clock: { now: () => now * 1000 },
    };
    {
      using store = open(file.path, options);
      for (const name of "abcd") assert.equal(await store.replay.use(value(name, NOW + 10)), true);
      await assert.rejects(store.replay.use(value("e", NOW + 10)), { code: "ERR_STORE_SHARE" });
    }
    using store = open(file.path, options);
    await assert.rejects(store.replay.use(value("e", NOW + 10)), { code: "ERR_STORE_SHARE" });
    for (const owner of ["two", "three"]) {
      assert.equal(await store.replay.use(value(`${owner} a`, NOW + 20, owner)), true);
      assert.equal(await store.replay.use(value(`${owner} b`, NOW + 20, owner)), true);
      const more = store.replay.use(value(`${owner} c`, NOW + 20, owner));
      await assert.rejects(more, { code: "ERR_STORE_FULL" });
    }
    assert.equal(await store.replay.use(value("a", NOW + 20, "two")).catch(() => false), false);
    now = NOW + 30;
    for (const name of "efgh") assert.equal(await store.replay.use(value(name, NOW + 40)), true);
    await assert.rejects(store.replay.use(value("i", NOW + 40)), { code: "ERR_STORE_SHARE" });
  });

  test("many that expire in one second are forgotten over several turns, and count as used at once", async () => {
    using file = temporaryFile();
    let now = NOW;
    const options = { replayLimits: { ofOne: 12_000 }, clock: { now: () => now * 1000 } };
    using store = open(file.path, options);
    for (let batch = 0; batch < 12; batch++) {
      const names = Array.from({ length: 1000 }, (_, i) => `${batch}/${i}`);
      // oxlint-disable-next-line no-await-in-loop -- one turn takes a bounded number
      await Promise.all(names.map((name) => store.replay.use(value(name, NOW + 40))));
    }
    now = NOW + 40;
    assert.equal(await store.replay.use(value("0/0", NOW + 40)), false);
    const left = () => remaining(file.path, store);
    assert.equal(await left(), 7000);
    assert.equal(await store.replay.use(value("x", NOW + 60)), true);
    assert.equal(await left(), 2001);
    assert.equal(await store.replay.use(value("11/999", NOW + 40)), false);
    assert.equal(await left(), 1);
    assert.equal(await store.replay.use(value("x", NOW + 60)), false);
  });

  test("THREAT-29: a clock set back does not bring forgotten values to life", async () => {
    using file = temporaryFile();
    let now = NOW;
    const clock = { now: () => now * 1000 };
    {
      using store = open(file.path, { clock });
      assert.equal(await store.replay.use(value("a", NOW + 10)), true);
      now = NOW + 100;
      assert.equal(await store.replay.use(value("b", NOW + 200)), true);
    }
    now = NOW;
    using store = open(file.path, { clock });
    assert.equal(await store.replay.use(value("a", NOW + 10)), false);
    assert.equal(await store.replay.use(value("z", NOW + 100)), false);
    assert.equal(await store.replay.use(value("z", NOW + 101)), true);
  });

  test("what waits is decided at close; later uses are refused", async () => {
    using file = temporaryFile();
    const store = open(file.path);
    const pending = store.replay.use(value("a", NOW + 60));
    store[Symbol.dispose]();
    assert.equal(await pending, true);
    await assert.rejects(store.replay.use(value("b", NOW + 60)), { code: "ERR_STORE_IO" });
  });

  test("a full disk refuses the use, and nothing of it counts afterwards", async () => {
    const database = new DatabaseSync(":memory:");
    database.exec(MIGRATIONS.join(";"));
    const replay = new SqliteReplay(database, {
      now: () => NOW,
      // Reached by those that come to nothing, if they counted.
      limits: { all: 10_000, ofOne: 2001, reserved: 0 },
    });
    assert.equal(await replay.use(value("a", NOW + 60)), true);
    database.exec("pragma max_page_count = 8");
    const uses = Array.from({ length: 2000 }, (_, i) => replay.use(value(`x${i}`, NOW + 60)));
    const results = await Promise.allSettled(uses);
    assert.equal(results.filter(({ status }) => status === "rejected").length, 2000);
    database.exec("pragma max_page_count = 100000");
    assert.equal(await replay.use(value("x0", NOW + 60)), true);
    assert.equal(await replay.use(value("a", NOW + 60)), false);
    database.close();
  });

  test("a bounded number waits for one turn", async () => {
    using file = temporaryFile();
    using store = open(file.path);
    const uses = Array.from({ length: 4097 }, (_, i) =>
      store.replay.use(value(String(i), NOW + 60)),
    );
    const results = await Promise.allSettled(uses);
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 4096);
    assert.equal(results.at(-1)?.status, "rejected");
  });
});
