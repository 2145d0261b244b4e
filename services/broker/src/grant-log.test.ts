import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openKeyFile } from "@redoubt/custody";
import { openGrant } from "@redoubt/lease";
import { haltedLog } from "@redoubt/testkit";
import { ed25519Signer, EMPTY_ROOT } from "@redoubt/tlog";
import { readPending, writePending } from "./pending-grant.ts";
import { ORIGIN, TestBroker } from "./testing/broker.ts";

async function running(): Promise<TestBroker> {
  const broker = await TestBroker.create();
  await broker.start();
  return broker;
}

/** The next batch is committed, cosigned if the witness sees it, and lost again; the broker is told that it failed. */
function forgetNext({ ledger, grants }: TestBroker, isSeen: boolean): void {
  ledger.misbehave = async (call, honest) => {
    const answer = await honest();
    if (call.op !== "commit") return answer;
    if (isSeen) grants.cosign(ledger.witness.signer, ledger.witness.nowSeconds());
    grants.cut(grants.size - 1);
    ledger.misbehave = undefined;
    throw new Error("not committed");
  };
}

/** What was sent for each place, without repetitions. */
function sentFor({ ledger }: TestBroker): readonly number[] {
  const sent = new Set(
    ledger.commits().map(({ head, attachment }) => {
      const { first, checkpoint } = head;
      return JSON.stringify({ first, checkpoint, bytes: attachment.toString("base64") });
    }),
  );
  return [...sent].map((one) => Number(Object(JSON.parse(one)).first));
}

for (const isSeen of [false, true])
  for (const isRestarted of [false, true])
    test(`THREAT-07: a ledger that says that a commit failed gets no second tree for its place, ${
      isRestarted ? "after a restart" : "in the same run"
    }, the witness ${isSeen ? "having seen it" : "not knowing of it"}`, async () => {
      await using broker = await running();
      {
        await using client = broker.connect();
        await broker.agent(client).renew();
        forgetNext(broker, isSeen);
        await assert.rejects(broker.agent(client).renew(), { code: "ERR_BROKER_LOG" });
      }
      if (isRestarted) {
        await broker.stop();
        await broker.start();
      }
      await using client = broker.connect();
      const agent = broker.agent(client);
      await agent.renew();
      // The lease in between has no holder: its entry is in the log, and that is all.
      assert.equal(openGrant(agent.lease?.grant ?? "", broker.log).index, 2);
      assert.deepEqual(sentFor(broker), [0, 1, 2]);
      assert.equal(broker.events.filter(({ name }) => name === "lease_granted").length, 2);
    });

test("THREAT-07: nothing is granted while the ledger holds another tree at the place of what was sent", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  forgetNext(broker, false);
  await assert.rejects(agent.renew(), { code: "ERR_BROKER_LOG" });
  const { privateKey } = openKeyFile(join(broker.folder, "writer.key"));
  broker.grants.writerSigner = ed25519Signer(`${ORIGIN}/writer`, privateKey);
  broker.grants.append([Buffer.alloc(65, 1)]);
  for (let count = 0; count < 2; count += 1)
    // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
    await assert.rejects(agent.renew(), { code: "ERR_LOG_HISTORY" });
  await broker.stop();
  await broker.start();
  await using again = broker.connect();
  await assert.rejects(broker.agent(again).renew(), { code: "ERR_LOG_HISTORY" });
  assert.deepEqual(sentFor(broker), [0]);
});

test("THREAT-30: what was acknowledged is never sent again: a log that lost it is no log to go on with", async () => {
  await using broker = await running();
  {
    await using client = broker.connect();
    await broker.agent(client).renew();
  }
  assert.equal(statSync(join(broker.folder, "pending.json")).mode & 0o777, 0o600);
  await broker.stop();
  await broker.start();
  {
    await using client = broker.connect();
    await broker.agent(client).renew();
  }
  broker.grants.cut(1);
  await broker.stop();
  await broker.start();
  await using client = broker.connect();
  await assert.rejects(broker.agent(client).renew(), { code: "ERR_LOG_SHORT" });
  assert.equal(broker.ledger.commits().length, 2);
});

test("a damaged file of what was sent is not treated as missing", async () => {
  await using broker = await running();
  await using client = broker.connect();
  await broker.agent(client).renew();
  const path = join(broker.folder, "pending.json");
  const text = readFileSync(path, "utf8");
  for (const damaged of [
    "{}",
    text.replace('"v":1', '"v":2'),
    text.slice(1),
    text.replace('"first":0', '"first":1'),
    text.replace(/"entry":"..../, '"entry":"'),
    text.replace(`${ORIGIN}\\n`, "redoubt.test/other\\n"),
    `${text.slice(0, -1)},"x":1}`,
  ]) {
    assert.notEqual(damaged, text);
    writeFileSync(path, damaged, { mode: 0o600 });
    // oxlint-disable-next-line no-await-in-loop -- one broker after the other
    await broker.stop();
    // oxlint-disable-next-line no-await-in-loop -- as above
    await broker.start();
    await using again = broker.connect();
    await assert.rejects(broker.agent(again).renew(), { code: "ERR_BROKER_STATE" }, damaged);
  }
  assert.equal(broker.grants.size, 1);
});

test("THREAT-26: what is sent is bounded, so that the ledger's frame has room for it", async () => {
  await using broker = await TestBroker.create();
  const path = join(broker.folder, "pending.json");
  const entry = Buffer.alloc(65, 1);
  const largest = { first: 7, note: "note\n", entry, body: Buffer.alloc(3 * 1024 * 1024, 2) };
  writePending(path, largest);
  const larger = { ...largest, body: Buffer.alloc(largest.body.length + 1) };
  assert.throws(() => writePending(path, larger), { code: "ERR_BROKER_LOG" });
  assert.deepEqual(readPending(path), largest);
});

test("THREAT-05: a broker whose files cannot be written commits nothing, time after time", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  await agent.renew();
  for (const name of ["state.json", "pending.json"]) {
    // A folder stands where the file goes, which was acknowledged and is not read again.
    const path = join(broker.folder, name);
    const kept = readFileSync(path);
    rmSync(path);
    mkdirSync(path);
    const { size } = broker.grants;
    for (let count = 0; count < 3; count += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
      await assert.rejects(agent.renew(), { name: "RemoteError" }, name);
      assert.equal(broker.events.at(-1)?.fields["code"], "EISDIR");
      broker.clock.forward(15);
    }
    assert.equal(broker.grants.size, size, "entries of leases that nobody got");
    rmdirSync(path);
    writeFileSync(path, kept, { mode: 0o600 });
    // oxlint-disable-next-line no-await-in-loop -- as above
    await agent.renew();
  }
  assert.equal(broker.grants.size, 3);
});

test("THREAT-38: no lease from a log that its witness has halted, though it answers for the registry", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  await agent.renew();
  broker.witness.witnessed = (question) =>
    question.log === ORIGIN ? haltedLog(question) : broker.ledger.witnessed(question);
  await assert.rejects(agent.renew(), { code: "ERR_WITNESS_HALTED" });
  broker.witness.before = () => {
    throw new Error("away");
  };
  await assert.rejects(agent.renew(), { code: "ERR_WITNESS_AWAY" });
  assert.equal(broker.grants.size, 1);
});

test("THREAT-06: no lease from a log that does not continue what its witness saw", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  broker.ledger.witness.isUp = false;
  // A new log, of which the witness knows nothing yet, and one whose newest entries it has not seen.
  for (let size = 0; size < 3; size += 1) {
    broker.grants.witnessed = { size, root: size === 0 ? EMPTY_ROOT : broker.grants.root(size) };
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await agent.renew();
  }
  for (const [size, root] of [
    [4, Buffer.alloc(32, 1)],
    [3, Buffer.alloc(32, 1)],
    [2, Buffer.alloc(32, 1)],
  ] as const) {
    broker.grants.witnessed = { size, root };
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await assert.rejects(agent.renew(), { code: "ERR_WITNESS_TREE" }, `${size}`);
  }
  broker.grants.witnessed = { size: 2, root: broker.grants.root(2) };
  broker.ledger.misbehave = (call, honest) => {
    if (call.op === "proveGrowth") throw new Error("no proof");
    return honest();
  };
  await assert.rejects(agent.renew(), { code: "ERR_BROKER_LOG" });
  assert.equal(broker.grants.size, 3);
  broker.ledger.misbehave = undefined;
  await agent.renew();
});
