import assert from "node:assert/strict";
import { cpSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { hashLeaf } from "@redoubt/tlog";
import { parseConfig } from "./config.ts";
import type { Ledger, LedgerOptions } from "./context.ts";
import { openDatabase, WAL_BYTES } from "./store.ts";
import {
  CONSUMER,
  createDeployment,
  ENTERPRISE,
  refusalOf,
  type Deployment,
} from "./testing/deployment.ts";
import { randomEntries, type TestBatch } from "./testing/writer.ts";

/** A commit as the socket hands it over. */
function commit(ledger: Ledger, { head, attachment }: TestBatch): Promise<unknown> {
  const { op, ...rest } = head;
  const caller = head.log === CONSUMER ? "signer-consumer" : "signer-enterprise";
  return Promise.resolve(ledger.handle({ caller, op, head: rest, attachment }));
}

/** Another process on the same database, with the same keys and a folder of its own. */
function openSecond(deployment: Deployment): Promise<Ledger> {
  const folder = join(deployment.root, "second");
  mkdirSync(folder);
  cpSync(join(deployment.folder, "keys"), join(folder, "keys"), { recursive: true });
  const config = { ...parseConfig(deployment.configJson), callers: [] };
  const path = join(deployment.folder, "ledger.db");
  return deployment.open({ config, folder, openDatabase: () => openDatabase(path) });
}

/** Opens the ledger and keeps hold of its database, so that a test can make it fail. */
async function openWithDatabase(
  deployment: Deployment,
  prepare: (database: DatabaseSync) => void = () => undefined,
): Promise<{ ledger: Ledger; database: DatabaseSync }> {
  const opened: DatabaseSync[] = [];
  const open: LedgerOptions["openDatabase"] = (path) => {
    const database = openDatabase(path);
    prepare(database);
    opened.push(database);
    return database;
  };
  const ledger = await deployment.open({ openDatabase: open });
  const [database] = opened;
  assert.ok(database);
  return { ledger, database };
}

test("THREAT-07: of two sequencers one wins each place, and the loser reads again", async () => {
  await using deployment = await createDeployment();
  const { consumer } = deployment;
  const rounds = 12;
  {
    await using first = await deployment.open();
    await using second = await openSecond(deployment);
    for (let round = 0; round < rounds; round++) {
      const base = consumer.range.clone();
      const one = consumer.next(randomEntries(2));
      const ours = consumer.range;
      consumer.range = base.clone();
      const two = consumer.next(randomEntries(3));
      const [fast, slow] = round % 2 === 0 ? [first, second] : [second, first];
      const results = await Promise.all([
        refusalOf(commit(fast, one)),
        refusalOf(commit(slow, two)),
      ]);
      assert.deepEqual(results, ["no refusal", "ERR_LEDGER_SIZE"]);
      consumer.range = ours;
      assert.deepEqual(slow.logs.get(CONSUMER)?.head.range.root(), ours.root());
    }
  }
  assert.equal(deployment.eventsNamed("compare_and_swap_lost").length, rounds);
  await using again = await deployment.open();
  assert.deepEqual(again.logs.get(CONSUMER)?.head.range.root(), consumer.range.root());
});

test("THREAT-07: a lost compare-and-swap of one log leaves the others of the transaction alone", async () => {
  await using deployment = await createDeployment();
  const { consumer, enterprise } = deployment;
  await using first = await deployment.open();
  await using second = await openSecond(deployment);
  const base = consumer.range.clone();
  await commit(first, consumer.next());
  consumer.range = base;
  const stale = [consumer.next(), consumer.next()];
  const results = await Promise.all(
    [...stale, enterprise.next()].map((batch) => refusalOf(commit(second, batch))),
  );
  assert.deepEqual(results, ["ERR_LEDGER_SIZE", "ERR_LEDGER_SIZE", "no refusal"]);
});

test("THREAT-07: a failed-over database that lost its tail is fatal for the log, never a fork", async () => {
  await using deployment = await createDeployment();
  const { consumer } = deployment;
  const { ledger, database } = await openWithDatabase(deployment);
  await commit(ledger, consumer.next(randomEntries(2)));
  await commit(ledger, consumer.next(randomEntries(2)));
  database.exec(
    `delete from batch where log=(select id from coord where log='${CONSUMER}') and first=2`,
  );
  database.exec(`update coord set next=2 where log='${CONSUMER}'`);
  assert.equal(await refusalOf(commit(ledger, consumer.next())), "ERR_LEDGER_SIZE");
  const halted = await deployment.event("log_halted");
  assert.match(String(halted.fields.reason), /Log of 2 entries, this process has 4/);
  assert.equal(await refusalOf(commit(ledger, consumer.next())), "ERR_LEDGER_HALTED");
});

test("THREAT-05: a full disk refuses everything, loses nothing, and recovers by itself", async () => {
  await using deployment = await createDeployment();
  const { consumer, enterprise } = deployment;
  const { ledger, database } = await openWithDatabase(deployment);
  const kept = consumer.next(randomEntries(3));
  await commit(ledger, kept);
  const root = ledger.logs.get(CONSUMER)?.head.range.root();
  const limit = (pages: number): void => database.exec(`pragma max_page_count=${pages}`);
  limit(Number(database.prepare("pragma page_count").get()?.page_count) + 2);
  const big = consumer.next(randomEntries(100), [Buffer.alloc(100_000)]);
  const after = consumer.next(randomEntries(1));
  const other = enterprise.next();
  for (let attempt = 0; attempt < 3; attempt++) {
    const codes = await Promise.all(
      [big, after, other].map((batch) => refusalOf(commit(ledger, batch))),
    );
    assert.deepEqual(codes, ["ERR_LEDGER_FULL", "ERR_LEDGER_FULL", "ERR_LEDGER_FULL"]);
    assert.deepEqual(ledger.logs.get(CONSUMER)?.head.range.root(), root);
    assert.equal(ledger.logs.get(ENTERPRISE)?.size, 0);
    assert.match(JSON.stringify(ledger.status()), /"ready":false,"reason":"ERR_LEDGER_FULL: Disk/);
  }
  limit(1_000_000);
  // Nobody has to ask: it finds out by itself.
  await deployment.event("storage_recovered");
  assert.match(JSON.stringify(ledger.status()), /"ready":true,"logs"/);
  await Promise.all([big, after, other].map((batch) => commit(ledger, batch)));
  assert.equal(deployment.eventsNamed("storage_failed").length, 1);
  assert.equal(deployment.eventsNamed("storage_recovered").length, 1);
  await ledger[Symbol.asyncDispose]();
  await using again = await deployment.open();
  assert.deepEqual(again.logs.get(CONSUMER)?.head.range.root(), consumer.range.root());
});

test("THREAT-05: storage that fails otherwise ends the ledger: nothing is tried again", async () => {
  await using deployment = await createDeployment();
  const { ledger, database } = await openWithDatabase(deployment);
  await commit(ledger, deployment.consumer.next());
  database.close();
  const code = await refusalOf(commit(ledger, deployment.consumer.next()));
  assert.equal(code, "ERR_LEDGER_IO");
  await assert.rejects(ledger.failed, { code: "ERR_LEDGER_IO" });
  const later = await refusalOf(commit(ledger, deployment.enterprise.next()));
  assert.equal(later, "ERR_LEDGER_IO");
  assert.equal(ledger.logs.get(CONSUMER)?.size, 1);
});

test("a database that another process holds refuses for the moment only", async () => {
  await using deployment = await createDeployment();
  const { ledger } = await openWithDatabase(deployment, (database) =>
    database.exec("pragma busy_timeout=5"),
  );
  const holder = openDatabase(join(deployment.folder, "ledger.db"));
  holder.exec("begin immediate");
  const batch = deployment.consumer.next();
  assert.equal(await refusalOf(commit(ledger, batch)), "ERR_LEDGER_IO");
  holder.exec("rollback");
  holder.close();
  await commit(ledger, batch);
  assert.equal(ledger.logs.get(CONSUMER)?.size, 1);
});

test("the write-ahead log stays short, whatever the size of batches, and shrinks while it runs", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open();
  const { consumer } = deployment;
  const path = join(deployment.folder, "ledger.db-wal");
  let longest = 0;
  const write = async (batches: number, blob: Buffer): Promise<void> => {
    for (let i = 0; i < batches; i++) {
      await commit(ledger, consumer.next(randomEntries(1), [blob]));
      longest = Math.max(longest, statSync(path).size);
    }
  };
  // One token in a batch writes as many pages as many do.
  await write(1500, Buffer.alloc(300));
  assert.ok(longest > WAL_BYTES / 2, String(longest));
  await write(20, Buffer.alloc(1_000_000));
  assert.ok(longest < 1.5 * WAL_BYTES, String(longest));
  // Whoever reads for long holds it; afterwards it is given back.
  using reader = new DatabaseSync(join(deployment.folder, "ledger.db"));
  reader.exec("begin");
  reader.prepare("select count(*) from batch").get();
  await write(20, Buffer.alloc(1_000_000));
  assert.ok(longest > 4 * WAL_BYTES, String(longest));
  assert.equal(deployment.eventsNamed("write_ahead_log_held").length, 1);
  reader.exec("commit");
  await write(12, Buffer.alloc(1_000_000));
  assert.ok(statSync(path).size < 1.5 * WAL_BYTES, String(statSync(path).size));
  assert.equal(deployment.eventsNamed("write_ahead_log_short_again").length, 1);
});

test("entries in the middle of many batches are the writer's", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open({ edgeEvery: 64 });
  const { consumer } = deployment;
  const batches = Array.from({ length: 20 }, (_, i) => consumer.next(randomEntries(i + 1)));
  await Promise.all(batches.map((batch) => commit(ledger, batch)));
  await using monitor = deployment.connect("monitor");
  const ask = { op: "entries", log: CONSUMER, from: 100, max: 7 };
  const { head, attachment } = await monitor.request(ask);
  assert.equal(head.count, 7);
  const wanted = batches.flatMap(({ entries }) => entries).slice(100, 107);
  const found = Array.from({ length: 7 }, (_, i) => attachment.subarray(i * 67 + 2, (i + 1) * 67));
  assert.deepEqual(found.map(hashLeaf), wanted.map(hashLeaf));
});
