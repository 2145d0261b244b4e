import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { systemClock, type Clock } from "@redoubt/base";
import { entryBundlePath, tilePath, logId } from "@redoubt/tlog";
import { AUDIT_WITHIN_SECONDS, encodeAuditMark, openAuditMark } from "./audit-mark.ts";
import type { Ledger } from "./context.ts";
import { openLogKey } from "./log-key.ts";
import { CONSUMER, createDeployment, refusalOf, type Deployment } from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

/** Every start reads everything again, or nothing but what is new. */
const ALL = { auditRestMs: 0 } as const;
const NEW = { auditRestMs: 86_400_000 } as const;
/** A start reads back from 600: the rows before it are the audit's alone. */
const EDGES = { edgeEvery: 256 } as const;

const isConsumer = ({ fields }: { fields: Readonly<Record<string, unknown>> }): boolean =>
  fields["log"] === CONSUMER;
const audited = (deployment: Deployment): Promise<unknown> =>
  deployment.event("audited", isConsumer);

async function commit(deployment: Deployment, sizes: readonly number[]): Promise<void> {
  await using signer = deployment.connect("signer-consumer");
  for (const n of sizes) {
    const { head, attachment } = deployment.consumer.next(randomEntries(n));
    await signer.request(head, attachment);
  }
}

/** A log of 610 entries in four batches, read to its end, at rest; and a copy of it to go back to. */
async function filled(): Promise<
  AsyncDisposable & { readonly deployment: Deployment; readonly restore: () => void }
> {
  const deployment = await createDeployment();
  {
    await using ledger = await deployment.open(EDGES);
    await commit(deployment, [200, 200, 200, 10]);
    await ledger.publish();
  }
  {
    await using _ = await deployment.open(EDGES);
    await deployment.event("audited", ({ fields }) => fields["size"] === 610);
  }
  const kept = join(deployment.root, "kept");
  cpSync(deployment.folder, kept, { recursive: true });
  deployment.witness.isDown = true;
  return {
    deployment,
    [Symbol.asyncDispose]: () => deployment[Symbol.asyncDispose](),
    restore: () => {
      for (const name of ["ledger.db", "ledger.db-wal", "ledger.db-shm", "published"]) {
        rmSync(join(deployment.folder, name), { recursive: true, force: true });
        if (existsSync(join(kept, name)))
          cpSync(join(kept, name), join(deployment.folder, name), { recursive: true });
      }
      deployment.events.length = 0;
    },
  };
}

const OURS = `log=(select id from coord where log='${CONSUMER}')`;

type Column = "entries" | "blobs" | "checkpoint";

/** Turns one bit of what is stored of a batch. */
function flip(deployment: Deployment, column: Column, first: number, at: number, bit = 1): void {
  const database = new DatabaseSync(join(deployment.folder, "ledger.db"));
  const where = `where ${OURS} and first=?`;
  const row = database.prepare(`select ${column} as value from batch ${where}`).get(first);
  const value = row?.["value"];
  const bytes =
    typeof value === "string"
      ? Buffer.from(value, "latin1")
      : Buffer.from(value instanceof Uint8Array ? value : []);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ bit;
  const changed = typeof value === "string" ? bytes.toString("latin1") : bytes;
  database.prepare(`update batch set ${column}=? ${where}`).run(changed, first);
  database.close();
}

function sql(deployment: Deployment, text: string): void {
  const database = new DatabaseSync(join(deployment.folder, "ledger.db"));
  database.prepare(text).run();
  database.close();
}

/** Where in a stored checkpoint something begins: root, then key id and signature of log and writer. */
const CHECKPOINT_PLACES = { root: 6, log: 32 + 20, writer: 32 + 68 + 20, keyId: 32 + 1 };

async function expectHalt(deployment: Deployment, ledger: Ledger, reason: RegExp): Promise<void> {
  const { fields } = await deployment.event("log_halted");
  assert.equal(fields["log"], CONSUMER);
  assert.match(String(fields["reason"]), reason);
  await using signer = deployment.connect("signer-consumer");
  const state = signer.request({ op: "state", log: CONSUMER });
  assert.equal(await refusalOf(state), "ERR_LEDGER_HALTED");
  assert.ok(ledger.logs.get(CONSUMER)?.halted);
}

test("THREAT-06: one bit of a stored row that a start does not read halts the log from behind", async (t) => {
  await using made = await filled();
  const { deployment, restore } = made;
  const cases: Readonly<Record<string, readonly [() => void, RegExp]>> = {
    "the length of an entry": [
      () => flip(deployment, "entries", 0, 1),
      /Batch at 0: .*not of the issuance form/,
    ],
    "the tag of an entry": [
      () => flip(deployment, "entries", 0, 2),
      /Batch at 0: .*not of the issuance form/,
    ],
    "the digest of an entry": [
      () => flip(deployment, "entries", 200, 67 * 7 + 9),
      /Batch at 200: .*another tree/,
    ],
    "the commitment of an entry": [
      () => flip(deployment, "entries", 200, -1),
      /Batch at 200: .*commitment of entry 199/,
    ],
    "the length of a body": [() => flip(deployment, "blobs", 200, 3), /Batch at 200: .*Blob/],
    "a body": [() => flip(deployment, "blobs", 200, 20), /Batch at 200: .*commitment of entry 0/],
    "the newest body": [() => flip(deployment, "blobs", 600, -1), /Batch at 600: .*commitment/],
    "a checkpoint's root": [
      () => flip(deployment, "checkpoint", 200, CHECKPOINT_PLACES.root),
      /Batch at 200: /,
    ],
    "the key of a signature": [
      () => flip(deployment, "checkpoint", 200, CHECKPOINT_PLACES.keyId),
      /Batch at 200: /,
    ],
    "the writer's signature": [
      () => flip(deployment, "checkpoint", 200, CHECKPOINT_PLACES.writer),
      /Batch at 200: /,
    ],
    "the log's signature": [
      () => flip(deployment, "checkpoint", 200, CHECKPOINT_PLACES.log),
      /Batch at 200: /,
    ],
    "the number of entries of a batch": [
      () => sql(deployment, `update batch set n=201 where ${OURS} and first=200`),
      /Batch at 200: .*not 201 entries/,
    ],
    "the place of a batch": [
      () => sql(deployment, `update batch set first=201 where ${OURS} and first=200`),
      /Batch expected at 200, found at 201/,
    ],
    "the checkpoint of another batch": [
      () =>
        sql(
          deployment,
          `update batch set checkpoint=(select checkpoint from batch where ${OURS} and first=0) where ${OURS} and first=200`,
        ),
      /Batch at 200: Signature/,
    ],
  };
  for (const [name, [damage, reason]] of Object.entries(cases))
    await t.test(name, async () => {
      restore();
      damage();
      await using ledger = await deployment.open({ ...EDGES, ...ALL });
      // The newest state is proven: that is what a start waits for.
      assert.equal(ledger.logs.get(CONSUMER)?.halted, undefined);
      await expectHalt(deployment, ledger, reason);
    });
  await t.test("nothing at all", async () => {
    restore();
    await using _ = await deployment.open({ ...EDGES, ...ALL });
    await audited(deployment);
    assert.deepEqual(deployment.eventsNamed("log_halted"), []);
    assert.deepEqual(deployment.eventsNamed("tile_repaired"), []);
  });
});

test("THREAT-06: any bit of an old checkpoint counts", async () => {
  await using made = await filled();
  const { deployment, restore } = made;
  restore();
  const database = new DatabaseSync(join(deployment.folder, "ledger.db"));
  const length = Number(
    database.prepare("select length(checkpoint) as n from batch where first=200").get()?.["n"],
  );
  database.close();
  assert.equal(length, 32 + 2 * 68);
  for (let at = 0; at < length; at += 11) {
    restore();
    flip(deployment, "checkpoint", 200, at, 1 << (at % 5));
    await using ledger = await deployment.open({ ...EDGES, ...ALL });
    await expectHalt(deployment, ledger, /Batch at 200: /);
  }
});

test("a start goes on where the audit stopped, and reads the rest again when its time comes", async (t) => {
  await using made = await filled();
  const { deployment, restore } = made;
  restore();
  flip(deployment, "blobs", 0, 20);
  await t.test("what was read is not read at once", async () => {
    await using ledger = await deployment.open({ ...EDGES, ...NEW });
    await audited(deployment);
    await commit(deployment, [5]);
    assert.equal(ledger.logs.get(CONSUMER)?.halted, undefined);
  });
  await t.test("an hour later it is, by a process that ran all the time", async () => {
    deployment.events.length = 0;
    await using ledger = await deployment.open({ ...EDGES, auditRestMs: 1500 });
    await expectHalt(deployment, ledger, /Batch at 0: /);
  });
});

test("THREAT-06: a mark counts only under the log's own key, for this log, and for a limited time", async () => {
  const now = 1_800_000_000;
  await using deployment = await createDeployment();
  const keyOf = (origin: string) => ({
    origin,
    id: "",
    kind: "issuance" as const,
    key: openLogKey(deployment.folder, CONSUMER),
  });
  const mark = { size: 9, root: Buffer.alloc(32, 7), again: 5, begunSeconds: now };
  const identity = keyOf(CONSUMER);
  const note = encodeAuditMark(identity, mark);
  assert.deepEqual(openAuditMark(note, identity, now), mark);
  assert.deepEqual(openAuditMark(note, identity, now + AUDIT_WITHIN_SECONDS), mark);
  for (const at of [now - 1, now + AUDIT_WITHIN_SECONDS + 1])
    assert.equal(openAuditMark(note, identity, at), undefined);
  assert.equal(openAuditMark(note, keyOf("redoubt.test/other"), now), undefined);
  const behind = encodeAuditMark(identity, { ...mark, again: 10 });
  assert.equal(openAuditMark(behind, identity, now), undefined);
  for (let at = 0; at < note.length; at++) {
    const bytes = Buffer.from(note, "utf8");
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    assert.equal(openAuditMark(bytes.toString("utf8"), identity, now), undefined, String(at));
  }
});

test("THREAT-06: whoever has the database cannot have the audit skip anything for long", async (t) => {
  await using made = await filled();
  const { deployment, restore } = made;
  const later: Clock = {
    ...systemClock,
    now: () => systemClock.now() + (AUDIT_WITHIN_SECONDS + 1) * 1000,
  };
  const cases: Readonly<Record<string, readonly [() => void, Clock]>> = {
    "a mark removed": [() => sql(deployment, "delete from audited"), systemClock],
    "a mark changed": [
      () => sql(deployment, "update audited set note=replace(note, '610', '611')"),
      systemClock,
    ],
    "a mark that was the log's, week after week": [() => undefined, later],
  };
  for (const [name, [attack, clock]] of Object.entries(cases))
    await t.test(name, async () => {
      restore();
      flip(deployment, "blobs", 0, 20);
      attack();
      await using ledger = await deployment.open({ ...EDGES, ...NEW, clock });
      await expectHalt(deployment, ledger, /Batch at 0: /);
    });
});

test("one bit of any file is found and written again; of one that was durable it is an alarm", async (t) => {
  await using made = await filled();
  const { deployment, restore } = made;
  const folder = join(deployment.folder, "published", logId(CONSUMER));
  const full = [tilePath(0, 0), tilePath(0, 1), entryBundlePath(0), entryBundlePath(1)];
  const edge = [tilePath(0, 2, 98), tilePath(1, 0, 2), entryBundlePath(2, 98), "checkpoint"];
  for (const path of [...full, ...edge])
    await t.test(path, async () => {
      restore();
      const file = join(folder, path);
      const whole = readFileSync(file);
      writeFileSync(
        file,
        whole.map((byte, i) => (i === 40 ? byte ^ 4 : byte)),
      );
      await using ledger = await deployment.open({ ...EDGES, ...ALL });
      await audited(deployment);
      await ledger.publish();
      assert.deepEqual(readFileSync(file), whole);
      const isFull = full.includes(path);
      assert.deepEqual(
        deployment.eventsNamed("tile_repaired").map(({ fields }) => fields["path"]),
        isFull ? [path] : [],
      );
      const [alarm] = deployment.eventsNamed("alarm");
      assert.equal(alarm?.fields["path"], isFull ? path : undefined);
      assert.equal(deployment.eventsNamed("log_halted").length, 0);
    });
  await t.test("a proof from a damaged tile is not given, and is there again soon", async () => {
    restore();
    await using _ = await deployment.open({ ...EDGES, ...NEW });
    await audited(deployment);
    const file = join(folder, tilePath(0, 0));
    const whole = readFileSync(file);
    writeFileSync(
      file,
      whole.map((byte, i) => (i === 40 ? byte ^ 4 : byte)),
    );
    await using monitor = deployment.connect("monitor");
    const ask = { op: "prove", log: CONSUMER, index: 2 };
    assert.equal(await refusalOf(monitor.request(ask)), "ERR_LEDGER_IO");
    await deployment.event("tile_repaired");
    assert.deepEqual(readFileSync(file), whole);
    assert.equal((await monitor.request(ask)).head.index, 2);
  });
});

test("the log takes entries while the audit reads it, and tiles of every level are found", async () => {
  await using deployment = await createDeployment();
  const folder = join(deployment.folder, "published", logId(CONSUMER));
  {
    await using ledger = await deployment.open(NEW);
    await commit(deployment, [...Array.from({ length: 16 }, () => 4096), 300]);
    await ledger.publish();
  }
  const upper = join(folder, tilePath(1, 0));
  const whole = readFileSync(upper);
  // As after a power cut: the full tile of the second level, and the edge above it.
  writeFileSync(upper, Buffer.alloc(0));
  writeFileSync(join(folder, tilePath(2, 0, 1)), Buffer.alloc(32));
  deployment.events.length = 0;
  await using ledger = await deployment.open(NEW);
  await commit(deployment, [1]);
  assert.equal(deployment.eventsNamed("audited").some(isConsumer), false);
  await deployment.event("audited", isConsumer);
  assert.equal(ledger.logs.get(CONSUMER)?.size, 65_837);
  assert.deepEqual(readFileSync(upper), whole);
  assert.equal(deployment.eventsNamed("alarm").length, 0);
});
