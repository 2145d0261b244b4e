import assert from "node:assert/strict";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import {
  CompactRange,
  entryBundlePath,
  openCheckpoint,
  parseEntryBundle,
  parseNote,
  tileHashReader,
  tilePath,
  TILE_WIDTH,
  type OpenedCheckpoint,
  logId,
} from "@redoubt/tlog";
import type { SocketClient } from "@redoubt/wire";
import {
  CONSUMER,
  createDeployment,
  REGISTRY,
  textOf,
  type Deployment,
} from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

const FAST = { publishDelayMs: 5, witnessTiming: { intervalMs: 30, refreshMs: 10_000 } };
/** Nothing is published unless a test asks for it. */
const NEVER = { publishDelayMs: 1_000_000, witnessTiming: FAST.witnessTiming };

const pathIn = ({ folder }: Deployment, file: string, log = CONSUMER): string =>
  join(folder, "published", logId(log), file);

async function commit({ consumer }: Deployment, signer: SocketClient, n: number): Promise<void> {
  const { head, attachment } = consumer.next(randomEntries(n));
  await signer.request(head, attachment);
}

/** C2SP tlog-tiles: a client falls back to the full file where the partial one is gone. */
function readFile(deployment: Deployment, partial: string, full: string): Buffer {
  const path = pathIn(deployment, partial);
  return statSync(path, { throwIfNoEntry: false })
    ? readFileSync(path)
    : readFileSync(pathIn(deployment, full));
}

interface Poll extends OpenedCheckpoint {
  readonly isCosigned: boolean;
}

/** What a client sees that knows log, writer and witness, and reads every entry and tile of it. */
function poll(deployment: Deployment): Poll | undefined {
  const path = pathIn(deployment, "checkpoint");
  if (!statSync(path, { throwIfNoEntry: false })) return undefined;
  const verifiers = [...deployment.verifiers(CONSUMER), deployment.witness.key];
  const opened = openCheckpoint(readFileSync(path, "utf8"), { origin: CONSUMER, verifiers });
  const { size, root } = opened;
  const range = CompactRange.empty();
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const [partial, full] = [entryBundlePath(index, width), entryBundlePath(index)];
    range.appendEntries(parseEntryBundle(readFile(deployment, partial, full)).slice(0, width));
  }
  assert.deepEqual(range.root(), root);
  const read = tileHashReader(
    (level, index, width) =>
      readFile(deployment, tilePath(level, index, width), tilePath(level, index)),
    size,
  );
  const hashes: Uint8Array[] = [];
  for (let bit = 2 ** 40, start = 0; bit >= 1; bit /= 2) {
    if (Math.floor(size / bit) % 2 === 0) continue;
    hashes.push(read(Math.log2(bit), start / bit));
    start += bit;
  }
  assert.deepEqual(hashes, range.hashes());
  return { ...opened, isCosigned: opened.verified.length === 3 };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const isCosigned = (deployment: Deployment, size: number): boolean => {
  const seen = poll(deployment);
  return seen?.isCosigned === true && seen.size === size;
};

test("a log that never rests shows the witness's line in every poll after the first", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open(FAST);
  await using signer = deployment.connect("signer-consumer");
  const polls: Poll[] = [];
  while (polls.filter((one) => one.isCosigned).length < 300) {
    await commit(deployment, signer, 7);
    const seen = poll(deployment);
    if (seen) polls.push(seen);
  }
  const first = polls.findIndex((one) => one.isCosigned);
  assert.ok(polls.slice(first).every((one) => one.isCosigned));
  const sizes = polls.map(({ size }) => size);
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => a - b),
  );
  assert.ok(new Set(sizes.slice(first)).size > 3, "the published size grows");
  const { size } = deployment.consumer.range;
  assert.ok(size > TILE_WIDTH * 4);
  await until(() => isCosigned(deployment, size));
  assert.equal(ledger.logs.get(CONSUMER)?.size, size);
});

test("before the first cosignature the log's own checkpoint is published, and what follows is never smaller", async () => {
  await using deployment = await createDeployment();
  deployment.witness.isDown = true;
  await using ledger = await deployment.open(NEVER);
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer, 3);
  await ledger.publish();
  const own = poll(deployment);
  assert.deepEqual([own?.size, own?.isCosigned], [3, false]);
  await commit(deployment, signer, 4);
  await ledger.publish();
  assert.equal(poll(deployment)?.size, 7);
  deployment.witness.isDown = false;
  await commit(deployment, signer, 1);
  await ledger.publish();
  await until(() => isCosigned(deployment, 8));
});

test("while the witness is away, the last cosigned checkpoint and its tiles stay, over a restart and what it lost", async (t) => {
  await using deployment = await createDeployment();
  const grow = async (): Promise<void> => {
    await using ledger = await deployment.open(NEVER);
    await using signer = deployment.connect("signer-consumer");
    await commit(deployment, signer, 300);
    await ledger.publish();
    await until(() => isCosigned(deployment, 300));
    deployment.witness.isDown = true;
    await commit(deployment, signer, 100);
    await ledger.publish();
    assert.ok(isCosigned(deployment, 300));
    await commit(deployment, signer, 250);
    await ledger.publish();
    assert.ok(isCosigned(deployment, 300));
    assert.equal(
      statSync(pathIn(deployment, "tile/0/001.p"), { throwIfNoEntry: false }),
      undefined,
    );
  };
  await grow();
  const partials = ["tile/entries/001", "tile/0/001"];
  const losses: Readonly<Record<string, () => void>> = {
    nothing: () => undefined,
    "a full tile": () => rmSync(pathIn(deployment, "tile/0/001")),
    "a torn bundle": () => writeFileSync(pathIn(deployment, partials[0] ?? ""), "torn"),
    everything: () => rmSync(join(deployment.folder, "published"), { recursive: true }),
    "the row of the cosignature": () => {
      using database = new DatabaseSync(join(deployment.folder, "ledger.db"));
      database.exec("delete from cosigned");
    },
  };
  for (const [name, lose] of Object.entries(losses))
    await t.test(name, async () => {
      lose();
      deployment.events.length = 0;
      await using ledger = await deployment.open(NEVER);
      await ledger.publish();
      await deployment.event("audited", ({ fields }) => fields.log === CONSUMER);
      assert.ok(isCosigned(deployment, 300));
      assert.equal(ledger.logs.get(CONSUMER)?.size, 650);
      assert.deepEqual(deployment.eventsNamed("log_halted"), []);
    });
  deployment.witness.isDown = false;
  await using ledger = await deployment.open(NEVER);
  await ledger.publish();
  await until(() => isCosigned(deployment, 650));
});

test("the partial tiles of what is published are written again when nothing of them is left", async () => {
  await using deployment = await createDeployment();
  {
    await using ledger = await deployment.open(NEVER);
    await using signer = deployment.connect("signer-consumer");
    await commit(deployment, signer, 100);
    await ledger.publish();
    await until(() => isCosigned(deployment, 100));
    deployment.witness.isDown = true;
    await commit(deployment, signer, 50);
  }
  for (const file of ["tile/entries/000.p/100", "tile/0/000.p/100", "checkpoint"])
    for (const damage of [
      () => rmSync(pathIn(deployment, file)),
      () => writeFileSync(pathIn(deployment, file), "torn"),
    ]) {
      damage();
      await using ledger = await deployment.open(NEVER);
      await ledger.publish();
      assert.ok(isCosigned(deployment, 100), file);
    }
});

function names(note: string): string[] {
  return parseNote(note).signatures.map(({ name }) => name);
}

test("the log's own line stands first in every note, then the writer's, then the witness's", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open(NEVER);
  await using signer = deployment.connect("signer-consumer");
  await using operator = deployment.connect("operator");
  const { head, attachment } = deployment.consumer.next(randomEntries(2));
  const answer = await signer.request(head, attachment);
  const logAndWriter = [CONSUMER, `${CONSUMER}/writer`];
  assert.deepEqual(names(textOf(answer.head.checkpoint)), logAndWriter);
  const again = await signer.request(head, attachment);
  assert.equal(again.head.checkpoint, answer.head.checkpoint);
  const { statement, envelope } = deployment.statement({
    type: "tenant",
    realm: "consumer",
    tenant: "9188040d-6c67-4c5b-b112-36a304b66dad",
    status: "active",
    audiences: ["api://one"],
  });
  const [text, env] = [statement.toString("base64url"), envelope.toString("base64url")];
  await operator.request({ op: "append", log: REGISTRY, statement: text, envelope: env });
  await ledger.publish();
  const witness = deployment.witness.key.name;
  for (const [log, expected] of [
    [CONSUMER, [...logAndWriter, witness]],
    [REGISTRY, [REGISTRY, witness]],
  ] as const) {
    const file = pathIn(deployment, "checkpoint", log);
    await until(() => readFileSync(file, "utf8").includes(witness));
    assert.deepEqual(names(readFileSync(file, "utf8")), expected);
  }
});
