import assert from "node:assert/strict";
import { test } from "node:test";
import { CompactRange, openCheckpoint, signNote, encodeCheckpoint } from "@redoubt/tlog";
import { joinBlobs, RemoteError } from "@redoubt/wire";
import {
  CONSUMER,
  createDeployment,
  ENTERPRISE,
  refusalOf,
  REGISTRY,
  textOf,
} from "./testing/deployment.ts";
import { commitTo, randomEntries, TestWriter, type TestBatch } from "./testing/writer.ts";

test("commit makes a batch durable and answers with a checkpoint of log and writer", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const { consumer } = deployment;
  const batch = consumer.next(randomEntries(3), [Buffer.from("sealed")]);
  const { head } = await signer.request(batch.head, batch.attachment);
  assert.equal(head.size, 3);
  const verifiers = deployment.verifiers(CONSUMER);
  const opened = openCheckpoint(textOf(head.checkpoint), { origin: CONSUMER, verifiers });
  assert.equal(opened.verified.length, 2);
  assert.deepEqual(opened.root, consumer.range.root());
  assert.equal(ledger.logs.get(CONSUMER)?.size, 3);
});

/** Within one tile, and over its border. */
const SIZES = [2, 300];

for (const n of SIZES)
  test(`a second batch of ${n} with one thing wrong is refused, and the log goes on unchanged`, async (t) => {
    await using deployment = await createDeployment();
    await using ledger = await deployment.open();
    await using signer = deployment.connect("signer-consumer");
    const { consumer } = deployment;
    const first = consumer.next(randomEntries(2));
    await signer.request(first.head, first.attachment);
    const good = consumer.next(randomEntries(n), blobsOf(n));
    const other = new TestWriter(CONSUMER);
    other.range = CompactRange.from(2, rangeOf(first));
    const foreign = new TestWriter(ENTERPRISE);
    const { head, attachment } = good;
    const root = consumer.range.root();
    const note = (origin: string, size: number, extensions: string[] = []): string =>
      signNote(encodeCheckpoint({ origin, size, root, extensions }), [consumer.signer]);
    const wrongTag = Buffer.from(attachment);
    wrongTag[2] = 2;
    const wrongLength = Buffer.from(attachment);
    wrongLength[1] = 64;
    const flipped = Buffer.from(attachment);
    flipped[10] = (flipped[10] ?? 0) ^ 1;
    const cases: Readonly<Record<string, [string, object, Buffer]>> = {
      "another writer's signature": [
        "ERR_LEDGER_WRITER",
        { ...head, checkpoint: other.next(good.entries).head.checkpoint },
        attachment,
      ],
      "a checkpoint of another log": [
        "ERR_LEDGER_WRITER",
        { ...head, checkpoint: note(ENTERPRISE, 2 + n) },
        attachment,
      ],
      "another log's writer": [
        "ERR_LEDGER_WRITER",
        { ...head, checkpoint: foreign.next(good.entries).head.checkpoint },
        attachment,
      ],
      "a second signature": [
        "ERR_LEDGER_WRITER",
        { ...head, checkpoint: `${head.checkpoint}${head.checkpoint.split("\n").at(-2)}\n` },
        attachment,
      ],
      "an extension line": [
        "ERR_LEDGER_WRITER",
        { ...head, checkpoint: note(CONSUMER, 2 + n, ["x"]) },
        attachment,
      ],
      "no note at all": ["ERR_LEDGER_WRITER", { ...head, checkpoint: "x" }, attachment],
      "a signed size one too large": [
        "ERR_LEDGER_ROOT",
        { ...head, checkpoint: note(CONSUMER, 3 + n) },
        attachment,
      ],
      "a changed entry": ["ERR_LEDGER_ROOT", head, flipped],
      "an entry with the registry's tag": ["ERR_LEDGER_ENTRY", head, wrongTag],
      "an entry of 64 bytes": ["ERR_LEDGER_ENTRY", head, wrongLength],
      "a count that is not that of the entries": [
        "ERR_LEDGER_ENTRY",
        { ...head, count: n + 1 },
        attachment,
      ],
      "a gap": ["ERR_LEDGER_SIZE", { ...head, first: 3 }, attachment],
      "entries that are there already": ["ERR_LEDGER_SIZE", { ...head, first: 0 }, attachment],
      "count 0": ["ERR_REQUEST_MEMBER", { ...head, count: 0 }, attachment],
      "count 4097": ["ERR_REQUEST_MEMBER", { ...head, count: 4097 }, attachment],
      "a negative first": ["ERR_REQUEST_MEMBER", { ...head, first: -1 }, attachment],
      "more entry bytes than bytes": [
        "ERR_REQUEST_MEMBER",
        { ...head, entriesBytes: attachment.length + 1 },
        attachment,
      ],
      "an unknown member": ["ERR_REQUEST_MEMBER", { ...head, extra: 1 }, attachment],
      "more blobs than entries": [
        "ERR_WIRE_FRAME",
        head,
        Buffer.concat([attachment, joinBlobs([Buffer.from("c")])]),
      ],
      "a blob that is cut short": ["ERR_WIRE_FRAME", head, attachment.subarray(0, -1)],
      "the log of another realm": ["ERR_LEDGER_DENIED", { ...head, log: ENTERPRISE }, attachment],
      "the registry": ["ERR_LEDGER_DENIED", { ...head, log: REGISTRY }, attachment],
      "a log that is nobody's": ["ERR_LEDGER_DENIED", { ...head, log: "x" }, attachment],
    };
    for (const [name, [code, badHead, badAttachment]] of Object.entries(cases))
      await t.test(name, async () => {
        assert.equal(await refusalOf(signer.request({ ...badHead }, badAttachment)), code);
        assert.equal(ledger.logs.get(CONSUMER)?.size, 2);
      });
    await t.test("the batch itself", async () => {
      assert.equal((await signer.request(head, attachment)).head.size, 2 + n);
      assert.equal(deployment.eventsNamed("root_mismatch").length, 2);
    });
  });

const flip = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte)));

test("P12: bodies that are not the committed ones are refused, and nothing of them is stored", async (t) => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const { consumer } = deployment;
  const blobs = [Buffer.from("one"), Buffer.from("two")];
  const [a, b] = [Buffer.from("one"), Buffer.from("two")] as const;
  const entries = commitTo(randomEntries(5), blobs);
  const flipped = entries.map((entry, i) =>
    i === 4 ? Buffer.concat([entry.subarray(0, 64), flip(entry.subarray(64))]) : entry,
  );
  const cases: Readonly<Record<string, readonly [readonly Buffer[], readonly Buffer[]]>> = {
    "a bit of a body": [entries, [a, flip(b)]],
    "a bit of a commitment, under a root that the writer signed": [flipped, blobs],
    "a body left out": [entries, [a]],
    "no body": [entries, []],
    "a body too many": [entries, [a, b, Buffer.from("three")]],
    "a body twice": [entries, [a, b, b]],
    "two entries of a blob that change places": [
      [2, 1, 0, 3, 4].flatMap((i) => entries[i] ?? []),
      blobs,
    ],
    "an entry twice": [[0, 1, 0, 3, 4].flatMap((i) => entries[i] ?? []), blobs],
  };
  for (const [name, [wrong, bodies]] of Object.entries(cases))
    await t.test(name, async () => {
      const before = consumer.range.clone();
      const { head, attachment } = consumer.nextAsIs(wrong, bodies);
      consumer.range = before;
      deployment.events.length = 0;
      assert.equal(await refusalOf(signer.request(head, attachment)), "ERR_LEDGER_BODY");
      assert.equal(ledger.logs.get(CONSUMER)?.size, 0);
      assert.equal(deployment.eventsNamed("body_mismatch").length, 1);
    });
  await t.test("the batch itself, its blobs in any order", async () => {
    const { head, attachment } = consumer.nextAsIs(entries, [b, a]);
    assert.equal((await signer.request(head, attachment)).head.size, 5);
  });
});

test("a batch that was sent before is answered as it was then, whatever came after", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const batches = [1, 2, 3].map((n) => deployment.consumer.next(randomEntries(n)));
  const first = await Promise.all(batches.map((b) => signer.request(b.head, b.attachment)));
  const again = await Promise.all(batches.map((b) => signer.request(b.head, b.attachment)));
  const essence = (reply: (typeof first)[number]): unknown[] => [
    reply.head.size,
    reply.head.checkpoint,
  ];
  assert.deepEqual(again.map(essence), first.map(essence));
  const [one] = batches;
  assert.ok(one);
  const { head, attachment } = one;
  const { checkpoint } = head;
  const flipped = Buffer.from(attachment);
  flipped[9] = (flipped[9] ?? 0) ^ 1;
  const body = checkpoint.slice(0, checkpoint.indexOf("\n\n") + 2);
  for (const [otherHead, otherBytes] of [
    [{ ...head, checkpoint: `${checkpoint}x` }, attachment],
    [{ ...head, checkpoint: checkpoint.slice(0, -1) }, attachment],
    [{ ...head, checkpoint: body }, attachment],
    [{ ...head, checkpoint: first[0]?.head.checkpoint }, attachment],
    [head, flipped],
    [{ ...head, first: 1, count: 2, checkpoint: batches[1]?.head.checkpoint }, attachment],
  ] as const)
    await assert.rejects(signer.request(otherHead, otherBytes), (error) => {
      assert.ok(error instanceof RemoteError);
      assert.equal(error.code, "ERR_LEDGER_SIZE");
      assert.equal(error.details.size, 6);
      return true;
    });
});

test("large and small batches of one log keep their order", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const counts = [1, 64, 1, 300, 2, 47, 48, 4096, 1, 64];
  const batches = counts.map((n) => deployment.consumer.next(randomEntries(n)));
  const sent = batches.map(async ({ head, attachment }) => {
    return (await signer.request(head, attachment)).head.size;
  });
  let size = 0;
  assert.deepEqual(
    await Promise.all(sent),
    counts.map((n) => (size += n)),
  );
  const range = ledger.logs.get(CONSUMER)?.head.range;
  assert.deepEqual(range?.root(), deployment.consumer.range.root());
});

test("P3: a batch on top of a forged one is refused, and leaves nothing behind", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const { consumer } = deployment;
  const before = consumer.range.clone();
  const bad = consumer.next(randomEntries(64));
  const onBad = consumer.next(randomEntries(64));
  consumer.range = before;
  const good = consumer.next(randomEntries(64));
  const onGood = consumer.next(randomEntries(64));
  const forged = new TestWriter(CONSUMER).next(bad.entries).head.checkpoint;
  const send = (head: object, { attachment }: TestBatch) => signer.request({ ...head }, attachment);
  // All of one turn.
  const [first, second, third, fourth] = await Promise.all([
    refusalOf(send({ ...bad.head, checkpoint: forged }, bad)),
    refusalOf(send(onBad.head, onBad)),
    send(good.head, good),
    send(onGood.head, onGood),
  ]);
  assert.deepEqual([first, second], ["ERR_LEDGER_WRITER", "ERR_LEDGER_SIZE"]);
  assert.deepEqual([third.head.size, fourth.head.size], [64, 128]);
  assert.deepEqual(ledger.logs.get(CONSUMER)?.head.range.root(), consumer.range.root());
});

test("batches of one turn share a transaction: pipelined, of two logs, one of them bad", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using consumer = deployment.connect("signer-consumer");
  await using enterprise = deployment.connect("signer-enterprise");
  const sent = Array.from({ length: 8 }, () => deployment.consumer.next(randomEntries(5)));
  const send = (client: typeof consumer, { head, attachment }: TestBatch) =>
    client.request(head, attachment);
  const other = deployment.enterprise.next(randomEntries(7));
  const bad = { ...other, head: { ...other.head, first: 9 } };
  const twice = sent[3];
  assert.ok(twice);
  const [sizes, code, good, resent] = await Promise.all([
    Promise.all(sent.map(async (batch) => (await send(consumer, batch)).head.size)),
    refusalOf(send(enterprise, bad)),
    send(enterprise, other),
    send(consumer, twice),
  ]);
  assert.deepEqual(sizes, [5, 10, 15, 20, 25, 30, 35, 40]);
  assert.equal(code, "ERR_LEDGER_SIZE");
  assert.equal(good.head.size, 7);
  assert.equal(resent.head.size, 20);
});

test("the largest batch is taken", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const batch = deployment.consumer.next(randomEntries(4096));
  assert.equal((await signer.request(batch.head, batch.attachment)).head.size, 4096);
});

const blobsOf = (n: number): Buffer[] => Array.from({ length: n }, (_, i) => Buffer.from(`${i}`));

function rangeOf({ entries }: TestBatch): Buffer[] {
  const range = CompactRange.empty();
  range.appendEntries(entries);
  return range.hashes();
}
