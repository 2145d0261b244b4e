import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyCommitments, joinBlobs, type Requester } from "@redoubt/wire";
import { bodyOf, readBatch } from "./show.ts";

const BODY = { code: "ERR_LOG_BODY" };
const BLOBS = [Buffer.from("one blob"), Buffer.from("another blob")] as const;

/** An entry that commits to the body at a position of a blob. */
function entryOf(blob: Buffer, position: number): Buffer {
  return Buffer.concat([Buffer.alloc(33, 1), new BodyCommitments(blob).of(position)]);
}

const ENTRIES = [entryOf(BLOBS[0], 0), entryOf(BLOBS[1], 0), entryOf(BLOBS[0], 1)];

function ledger(change: object, attachment?: Buffer): Requester {
  const bundle = Buffer.concat(ENTRIES.map((entry) => Buffer.concat([Buffer.of(0, 65), entry])));
  const head = { first: 10, count: 3, entriesBytes: bundle.length, ...change };
  const attached = attachment ?? Buffer.concat([bundle, joinBlobs(BLOBS)]);
  return { request: async () => ({ head, attachment: attached }) };
}

test("the blob and the place in it that an entry commits to", async () => {
  const batch = await readBatch(ledger({}), "log", 12);
  assert.deepEqual(batch, { first: 10, entries: ENTRIES, blobs: BLOBS });
  assert.deepEqual(bodyOf(batch, entryOf(BLOBS[0], 1)), { blob: BLOBS[0], position: 1 });
  assert.deepEqual(bodyOf(batch, entryOf(BLOBS[1], 0)), { blob: BLOBS[1], position: 0 });
});

test("THREAT-06: a ledger that answers with another batch or another body is found out", async () => {
  const batch = await readBatch(ledger({}), "log", 10);
  for (const foreign of [entryOf(Buffer.from("withheld"), 0), entryOf(BLOBS[0], 3)])
    assert.throws(() => bodyOf(batch, foreign), BODY);
  for (const change of [{ first: 13 }, { first: 0 }, { count: 2 }, { entriesBytes: 10 }])
    await assert.rejects(readBatch(ledger(change), "log", 12), BODY, JSON.stringify(change));
  await assert.rejects(readBatch(ledger({}, Buffer.alloc(10)), "log", 12), BODY);
});
