import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { test } from "node:test";
import { CompactRange, encodeCheckpoint, hashLeaf, openCheckpoint, signNote } from "@redoubt/tlog";
import { bundleEntry } from "./entries.ts";
import { checkMarks, openFullCheckpoint, replayBatch } from "./history.ts";
import { openLogKey } from "./log-key.ts";
import { packCheckpoint } from "./packed-checkpoint.ts";
import {
  CONSUMER,
  createDeployment,
  ENTERPRISE,
  refusalOf,
  type Deployment,
  textOf,
} from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

/** Three batches in the consumer log, one in the enterprise log, all published and cosigned; then a clean stop. */
async function fill(deployment: Deployment, edgeEvery?: number): Promise<void> {
  await using ledger = await deployment.open(edgeEvery === undefined ? {} : { edgeEvery });
  await using consumer = deployment.connect("signer-consumer");
  await using enterprise = deployment.connect("signer-enterprise");
  for (const n of [3, 2, 4]) {
    const batch = deployment.consumer.next(randomEntries(n));
    await consumer.request(batch.head, batch.attachment);
  }
  const other = deployment.enterprise.next(randomEntries(1));
  await enterprise.request(other.head, other.attachment);
  await ledger.publish();
  while (ledger.logs.get(CONSUMER)?.cosigned?.size !== 9)
    await new Promise((resolve) => setImmediate(resolve));
}

function tamper(deployment: Deployment, sql: string, ...values: SQLInputValue[]): void {
  const database = new DatabaseSync(join(deployment.folder, "ledger.db"));
  database.prepare(sql).run(...values);
  database.close();
}

function removePublished(deployment: Deployment): void {
  rmSync(join(deployment.folder, "published"), { recursive: true });
}

const OURS = `log=(select id from coord where log='${CONSUMER}')`;
/** The entries with one byte of a digest changed, whatever it is: it may be zero already. */
const ALTERED =
  "cast(substr(entries,1,70)||case substr(entries,71,1) when x'00' then x'01' else x'00' end||substr(entries,72) as blob)";
const WHERE = `where ${OURS} and first=3`;
const LAST = `where ${OURS} and first=5`;

/** THREAT-06: what somebody with the database (and in places the log key) may try. */
const TAMPERING: Readonly<Record<string, (deployment: Deployment) => void>> = {
  "an altered entry": (d) => tamper(d, `update batch set entries=${ALTERED} ${WHERE}`),
  "an entry of another form": (d) =>
    tamper(
      d,
      `update batch set entries=cast(substr(entries,1,2)||x'02'||substr(entries,4) as blob) ${WHERE}`,
    ),
  "a removed batch": (d) => tamper(d, `delete from batch ${WHERE}`),
  "a removed entry": (d) =>
    tamper(d, `update batch set n=1, entries=substr(entries,1,67) ${WHERE}`),
  "an inserted batch": (d) =>
    tamper(
      d,
      `insert into batch select log, 9, n, checkpoint, entries, blobs from batch where ${OURS} and first=0`,
    ),
  "a batch inserted and counted": (d) => {
    tamper(
      d,
      `insert into batch select log, 9, n, checkpoint, entries, blobs from batch where ${OURS} and first=0`,
    );
    tamper(d, "update coord set next=12 where log=?", CONSUMER);
  },
  "a newest checkpoint of before": (d) =>
    tamper(d, `update batch set checkpoint=(select checkpoint from batch ${WHERE}) ${LAST}`),
  "a newest checkpoint that is cut": (d) =>
    tamper(d, `update batch set checkpoint=substr(checkpoint,1,100) ${LAST}`),
  "the newest batch cut": (d) => tamper(d, `delete from batch ${LAST}`),
  "the newest batch cut and discounted": (d) => {
    tamper(d, `delete from batch ${LAST}`);
    tamper(d, "update coord set next=5 where log=?", CONSUMER);
  },
  "the same, with the cosigned note removed": (d) => {
    tamper(d, `delete from batch ${LAST}`);
    tamper(d, "update coord set next=5 where log=?", CONSUMER);
    tamper(d, "delete from cosigned where log=?", CONSUMER);
  },
  "the same, with the published folder removed instead": (d) => {
    tamper(d, `delete from batch ${LAST}`);
    tamper(d, "update coord set next=5 where log=?", CONSUMER);
    removePublished(d);
  },
  "a tree that only the log key signed": (d) => {
    const entries = randomEntries(9);
    const range = CompactRange.empty();
    range.appendEntries(entries);
    const body = encodeCheckpoint({ origin: CONSUMER, size: 9, root: range.root() });
    const note = signNote(body, [openLogKey(d.folder, CONSUMER).signer]);
    const bundle = Buffer.concat(entries.flatMap((entry) => [Buffer.of(0, 65), entry]));
    tamper(d, `delete from batch where ${OURS}`);
    tamper(d, "delete from cosigned where log=?", CONSUMER);
    removePublished(d);
    tamper(
      d,
      "insert into batch values ((select id from coord where log=?), 0, 9, ?, ?, x'')",
      CONSUMER,
      packCheckpoint(note),
      bundle,
    );
  },
  "an edge of another tree": (d) =>
    tamper(d, "update coord set edge_size=5, edge=zeroblob(64) where log=?", CONSUMER),
  "an edge that is no range": (d) =>
    tamper(d, "update coord set edge_size=5, edge=zeroblob(3) where log=?", CONSUMER),
  "another writer": (d) => tamper(d, "update coord set writer='x' where log=?", CONSUMER),
  "another log key": (d) => tamper(d, "update coord set vkey='x' where log=?", CONSUMER),
};

test("THREAT-06: a changed history halts its log at restart, and only that one", async (t) => {
  await using deployment = await createDeployment();
  await fill(deployment);
  const kept = join(deployment.root, "kept");
  cpSync(deployment.folder, kept, { recursive: true });
  const next = deployment.consumer.next();
  const other = deployment.enterprise.next();
  for (const [name, attack] of Object.entries(TAMPERING))
    await t.test(name, async () => {
      restore(deployment, kept);
      attack(deployment);
      await using ledger = await deployment.open();
      await using consumer = deployment.connect("signer-consumer");
      await using enterprise = deployment.connect("signer-enterprise");
      const refused = consumer.request(next.head, next.attachment);
      assert.equal(await refusalOf(refused), "ERR_LEDGER_HALTED");
      const state = consumer.request({ op: "state", log: CONSUMER });
      assert.equal(await refusalOf(state), "ERR_LEDGER_HALTED");
      const events = deployment.eventsNamed("log_halted");
      assert.deepEqual(
        events.map(({ fields }) => fields.log),
        [CONSUMER],
      );
      assert.match(JSON.stringify(ledger.status()), /"halted":"/);
      assert.equal((await enterprise.request(other.head, other.attachment)).head.size, 2);
    });
  await t.test("nothing at all: the log opens and takes the next batch", async () => {
    restore(deployment, kept);
    await deployment.open();
    await using consumer = deployment.connect("signer-consumer");
    assert.equal((await consumer.request(next.head, next.attachment)).head.size, 10);
    assert.equal(deployment.eventsNamed("log_halted").length, 0);
  });
});

/** Puts the database and the published files back as they were. */
function restore(deployment: Deployment, kept: string): void {
  for (const name of ["ledger.db", "ledger.db-wal", "ledger.db-shm", "published"])
    rmSync(join(deployment.folder, name), { recursive: true, force: true });
  for (const name of ["ledger.db", "published"])
    cpSync(join(kept, name), join(deployment.folder, name), { recursive: true });
  deployment.events.length = 0;
  deployment.witness.isDown = true;
}

test("an untouched history opens again with the same state", async () => {
  await using deployment = await createDeployment();
  await fill(deployment);
  await deployment.open();
  await using consumer = deployment.connect("signer-consumer");
  const { head } = await consumer.request({ op: "state", log: CONSUMER });
  const { range } = deployment.consumer;
  assert.equal(head.size, 9);
  assert.deepEqual(
    head.hashes,
    range.hashes().map((hash) => hash.toString("base64url")),
  );
  const verifiers = [...deployment.verifiers(CONSUMER), deployment.witness.key];
  const cosigned = openCheckpoint(textOf(head.cosigned), { origin: CONSUMER, verifiers });
  assert.equal(cosigned.verified.length, 3);
});

test("THREAT-06: a tail cut from database, notes and published files is seen by the witness", async () => {
  await using deployment = await createDeployment();
  await fill(deployment);
  tamper(deployment, `delete from batch ${LAST}`);
  tamper(deployment, "update coord set next=5 where log=?", CONSUMER);
  tamper(deployment, "delete from cosigned");
  removePublished(deployment);
  await deployment.open();
  await using consumer = deployment.connect("signer-consumer");
  const halted = await deployment.event("log_halted");
  assert.equal(halted.fields.log, CONSUMER);
  assert.match(String(halted.fields.reason), /witness holds 9 entries, the log has 5/);
  const state = consumer.request({ op: "state", log: CONSUMER });
  assert.equal(await refusalOf(state), "ERR_LEDGER_HALTED");
});

/** The witness holds another tree, which the log's own keys signed: whoever has them forked it. */
function witnessAnother({ folder, consumer, witness }: Deployment, size: number): void {
  const root = hashLeaf(Buffer.from("another"));
  const body = encodeCheckpoint({ origin: CONSUMER, size, root });
  witness.held.set(CONSUMER, { size, root });
  witness.notes.set(
    CONSUMER,
    signNote(body, [openLogKey(folder, CONSUMER).signer, consumer.signer]),
  );
}

test("THREAT-06: another tree of the witnessed size is seen by the witness", async () => {
  await using deployment = await createDeployment();
  await fill(deployment);
  witnessAnother(deployment, 9);
  await deployment.open();
  const halted = await deployment.event("log_halted");
  assert.match(String(halted.fields.reason), /another tree of 9 entries/);
});

test("THREAT-06: a growth that the witness cannot follow halts the log", async () => {
  await using deployment = await createDeployment();
  await fill(deployment);
  witnessAnother(deployment, 5);
  await deployment.open();
  const halted = await deployment.event("log_halted");
  assert.match(String(halted.fields.reason), /another tree of 5 entries/);
});

test("a restart reads from the stored edge, and the audit still finds an older change", async () => {
  await using deployment = await createDeployment();
  await fill(deployment, 4);
  tamper(deployment, `update batch set entries=${ALTERED} where ${OURS} and first=0`);
  await using ledger = await deployment.open();
  assert.equal(ledger.logs.get(CONSUMER)?.size, 9);
  const halted = await deployment.event("log_halted");
  assert.equal(halted.fields.log, CONSUMER);
  assert.match(String(halted.fields.reason), /Entries do not lead to the checkpoint at 9/);
  await deployment.event("audited", ({ fields }) => fields.log === ENTERPRISE);
});

test("THREAT-06: an entry that is altered under the running ledger has no proof", async () => {
  await using deployment = await createDeployment();
  await fill(deployment);
  await deployment.open();
  await using monitor = deployment.connect("monitor");
  await deployment.event("audited", ({ fields }) => fields.log === CONSUMER);
  const ask = { op: "prove", log: CONSUMER, index: 4 };
  assert.equal((await monitor.request(ask)).head.size, 9);
  tamper(deployment, `update batch set entries=${ALTERED} ${WHERE}`);
  assert.equal(await refusalOf(monitor.request(ask)), "ERR_LEDGER_IO");
  const halted = await deployment.event("log_halted");
  assert.equal(halted.fields.log, CONSUMER);
});

const HISTORY = { code: "ERR_LEDGER_HISTORY" } as const;

test("THREAT-06: a batch goes where the range ends, nowhere else", () => {
  const entries = randomEntries(2);
  const bundle = Buffer.concat(entries.map(bundleEntry));
  for (const first of [0, 1, 3, 4]) {
    const range = CompactRange.empty();
    range.appendEntries(randomEntries(2));
    const batch = { first, n: 2, checkpoint: "", entries: bundle };
    assert.throws(() => replayBatch(range, batch, "issuance"), HISTORY, String(first));
    assert.equal(range.size, 2);
    replayBatch(range, { ...batch, first: 2 }, "issuance");
    assert.equal(range.size, 4);
  }
});

test("THREAT-06: a root that somebody was shown is held against the range at its size", () => {
  const range = CompactRange.empty();
  range.appendEntries(randomEntries(3));
  const mark = { size: 3, root: range.root(), what: "the cosigned checkpoint" };
  const other = { size: 4, root: Buffer.alloc(32), what: "another" };
  const open = new Set([mark, other]);
  checkMarks(range, open);
  assert.deepEqual([...open], [other]);
  const wrong = new Set([{ ...mark, root: Buffer.alloc(32) }]);
  assert.throws(() => checkMarks(range, wrong), HISTORY);
});

test("THREAT-06: a checkpoint needs the writer's signature beside the log's", async () => {
  await using deployment = await createDeployment();
  const key = openLogKey(deployment.folder, CONSUMER);
  const { key: writer, signer } = deployment.consumer;
  const identity = { origin: CONSUMER, id: "1", kind: "issuance", key, writer } as const;
  const body = encodeCheckpoint({ origin: CONSUMER, size: 1, root: Buffer.alloc(32, 1) });
  assert.equal(openFullCheckpoint(signNote(body, [key.signer, signer]), identity).size, 1);
  for (const one of [key.signer, signer])
    assert.throws(() => openFullCheckpoint(signNote(body, [one]), identity), HISTORY);
});
