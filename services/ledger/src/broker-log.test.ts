import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeVerifierKey, openCheckpoint } from "@redoubt/tlog";
import { splitBlobs } from "@redoubt/wire";
import {
  BROKER,
  CALLERS,
  CONSUMER,
  createDeployment,
  refusalOf,
  REGISTRY,
  textOf,
} from "./testing/deployment.ts";
import { commitTo, randomEntries, type TestBatch } from "./testing/writer.ts";

/** As a broker keeps beside a grant: what nobody sealed (docs/spec/leases.md §3). */
const BODY = Buffer.from('{"v":1,"type":"grant","realm":"consumer"}');

test("a grant is durable: it is there after a restart, and the same batch is answered as it was", async () => {
  await using deployment = await createDeployment();
  const { broker } = deployment;
  const batch = broker.next(randomEntries(1), [BODY]);
  let committed = "";
  {
    await using _ = await deployment.open();
    await using client = deployment.connect("broker");
    const { head } = await client.request(batch.head, batch.attachment);
    committed = textOf(head.checkpoint);
    const verifiers = deployment.verifiers(BROKER);
    const opened = openCheckpoint(committed, { origin: BROKER, verifiers });
    assert.deepEqual(
      new Set(opened.verified.map(({ name }) => name)),
      new Set([BROKER, `${BROKER}/writer`]),
    );
    assert.deepEqual(opened.root, broker.range.root());
  }
  await using ledger = await deployment.open({ auditRestMs: 0 });
  await using client = deployment.connect("broker");
  const state = { op: "state", log: BROKER };
  assert.equal((await client.request(state)).head.checkpoint, committed);
  assert.equal((await client.request(batch.head, batch.attachment)).head.checkpoint, committed);
  assert.equal(ledger.logs.get(BROKER)?.size, 1);
  const after = broker.next(randomEntries(1), [BODY]);
  assert.equal((await client.request(after.head, after.attachment)).head.size, 2);
  await deployment.event("audited", ({ fields }) => fields["log"] === BROKER);
  assert.equal(ledger.logs.get(BROKER)?.halted, undefined);
});

test("the operator reads a grant with the body that nobody sealed, and it is the committed one", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using client = deployment.connect("broker");
  const batch = deployment.broker.next(randomEntries(1), [BODY]);
  await client.request(batch.head, batch.attachment);
  await using operator = deployment.connect("operator");
  const asked = { op: "batch", log: BROKER, index: 0 };
  const { head, attachment } = await operator.request(asked);
  assert.deepEqual([head.first, head.count], [0, 1]);
  const bytes = Number(head.entriesBytes);
  const [entry] = batch.entries;
  assert.deepEqual(attachment.subarray(2, bytes), entry);
  const bodies = splitBlobs(attachment.subarray(bytes), 1);
  assert.deepEqual(bodies, [BODY]);
  assert.deepEqual(commitTo([entry ?? assert.fail()], bodies), [entry]);
});

test("THREAT-35: who shows what stands beside grants reads no body beside a token, nor any of the registry", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const batch = deployment.consumer.next(randomEntries(1));
  await signer.request(batch.head, batch.attachment);
  await using publisher = deployment.connect("publisher");
  for (const log of [CONSUMER, REGISTRY])
    assert.equal(
      await refusalOf(publisher.request({ op: "batch", log, index: 0 })),
      "ERR_LEDGER_DENIED",
      log,
    );
});

test("P12: a body that is not the committed one is refused, sealed or not", async () => {
  await using deployment = await createDeployment();
  const ledger = await deployment.open();
  await using client = deployment.connect("broker");
  const { broker } = deployment;
  const other = Buffer.from(BODY.toString().replace("consumer", "Consumer"));
  const wrong = broker.nextAsIs(commitTo(randomEntries(1), [BODY]), [other]);
  assert.equal(await refusalOf(client.request(wrong.head, wrong.attachment)), "ERR_LEDGER_BODY");
  assert.equal(ledger.logs.get(BROKER)?.size, 0);
});

test("P5: a broker's log is the broker's: others read as their part is, and none but the broker writes", async (t) => {
  await using deployment = await createDeployment();
  const ledger = await deployment.open();
  const batch = deployment.broker.next(randomEntries(1), [BODY]);
  const rows: readonly (readonly [string, object, Buffer | undefined, string])[] = [
    ["committing", batch.head, batch.attachment, "broker"],
    ["its state", { op: "state", log: BROKER }, undefined, "operator monitor publisher broker"],
    [
      "its entries",
      { op: "entries", log: BROKER, from: 0, max: 1 },
      undefined,
      "operator monitor publisher broker",
    ],
    ["its bodies", { op: "batch", log: BROKER, index: 0 }, undefined, "operator publisher"],
    [
      "opening it",
      { op: "openLog", log: BROKER, writer: encodeVerifierKey(deployment.broker.key) },
      undefined,
      "operator broker",
    ],
    [
      "finding a lease",
      { op: "find", log: BROKER, digest: digestOf(batch) },
      undefined,
      "operator monitor",
    ],
  ];
  for (const [name, head, attachment, allowed] of rows)
    await t.test(name, async () => {
      const found: string[] = [];
      for (const caller of CALLERS) {
        await using client = deployment.connect(caller);
        const code = await refusalOf(client.request({ ...head }, attachment));
        if (code === "no refusal") found.push(caller);
        else assert.equal(code, "ERR_LEDGER_DENIED", caller);
      }
      assert.equal(found.join(" "), allowed);
    });
  assert.equal(ledger.logs.get(BROKER)?.size, 1);
  await t.test("the broker reads no realm's log and no statement, and says none", async () => {
    await using client = deployment.connect("broker");
    for (const log of [CONSUMER, REGISTRY])
      assert.equal(await refusalOf(client.request({ op: "state", log })), "ERR_LEDGER_DENIED", log);
    const registry = client.request({ op: "registry", from: 0, max: 1 });
    assert.equal(await refusalOf(registry), "ERR_LEDGER_DENIED");
    const own = deployment.consumer.next(randomEntries(1));
    assert.equal(await refusalOf(client.request(own.head, own.attachment)), "ERR_LEDGER_DENIED");
  });
});

function digestOf({ entries: [entry] }: TestBatch): string {
  return (entry ?? assert.fail()).toString("base64url", 1, 33);
}
