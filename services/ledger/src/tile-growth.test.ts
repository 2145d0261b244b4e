import assert from "node:assert/strict";
import { hash } from "node:crypto";
import {
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { CompactRange, entryBundlePath, openCheckpoint, TILE_WIDTH, logId } from "@redoubt/tlog";
import type { SocketClient } from "@redoubt/wire";
import { splitEntries } from "./entries.ts";
import { startLedger } from "./testing/child.ts";
import { CONSUMER, createDeployment, type Deployment } from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";
import { PUBLISH_WITHIN_MS } from "./tile-writer.ts";
import { SUBMIT_WITHIN_MS } from "./witness-submitter.ts";

/** Nothing is published unless a test asks for it. */
const NEVER = { publishDelayMs: 1_000_000 };

const folderOf = ({ folder }: Deployment): string => join(folder, "published", logId(CONSUMER));

async function commit(
  { consumer }: Deployment,
  signer: SocketClient,
  sizes: readonly number[],
): Promise<void> {
  const batches = sizes.map((n) => consumer.next(randomEntries(n)));
  await Promise.all(batches.map(({ head, attachment }) => signer.request(head, attachment)));
}

/** Digests of all tiles and bundles, by path. Of the level above, narrower edges stay until the tile is full. */
function tiles(deployment: Deployment): Readonly<Record<string, string>> {
  const folder = folderOf(deployment);
  const paths = globSync("tile/**/*", { cwd: folder }).filter((path) =>
    statSync(join(folder, path)).isFile(),
  );
  const isOldEdge = (path: string): boolean =>
    paths.some((other) => dirname(other) === dirname(path) && widthOf(other) > widthOf(path));
  return Object.fromEntries(
    paths
      .filter((path) => !path.includes(".p/") || !isOldEdge(path))
      .toSorted()
      .map((path) => [path, hash("sha256", readFileSync(join(folder, path)))]),
  );
}

const widthOf = (path: string): number => (path.includes(".p/") ? Number(basename(path)) : 0);

function publishedSize(deployment: Deployment): number {
  const note = readFileSync(join(folderOf(deployment), "checkpoint"), "utf8");
  return openCheckpoint(note, { origin: CONSUMER, verifiers: deployment.verifiers(CONSUMER) }).size;
}

/** What another ledger makes of the same database, with no file to go on from. */
async function derivedAnew(deployment: Deployment): Promise<Readonly<Record<string, string>>> {
  rmSync(folderOf(deployment), { recursive: true });
  await using ledger = await deployment.open(NEVER);
  await ledger.publish();
  return tiles(deployment);
}

test("tiles taken from memory are those that the database gives", async () => {
  await using deployment = await createDeployment();
  let found: Readonly<Record<string, string>>;
  {
    await using ledger = await deployment.open({ publishDelayMs: 1 });
    await using signer = deployment.connect("signer-consumer");
    for (const sizes of [[1, 254], [1, 1], [256], [4096, 700], [3], [511, 2, 255]])
      await commit(deployment, signer, sizes);
    await ledger.publish();
    // A size is published when the witness has cosigned it.
    for (; publishedSize(deployment) < deployment.consumer.range.size; await ledger.publish())
      await new Promise((resolve) => setImmediate(resolve));
    found = tiles(deployment);
  }
  assert.deepEqual(found, await derivedAnew(deployment));
});

test("P12: a log that outgrows what is kept of it in memory is taken from the database", async () => {
  await using deployment = await createDeployment();
  // Until it has spoken, what is published is the newest size.
  deployment.witness.isDown = true;
  let found: Readonly<Record<string, string>>;
  {
    await using ledger = await deployment.open({ publishDelayMs: 1 });
    await using signer = deployment.connect("signer-consumer");
    await commit(deployment, signer, [10]);
    await ledger.publish();
    const tile = join(folderOf(deployment), "tile");
    renameSync(tile, `${tile}.aside`);
    writeFileSync(tile, "in the way");
    // 2 × 160 full files, more than are kept.
    for (let i = 0; i < 10; i++) await commit(deployment, signer, [4096]);
    rmSync(tile);
    renameSync(`${tile}.aside`, tile);
    await ledger.publish();
    await commit(deployment, signer, [300]);
    await ledger.publish();
    assert.equal(publishedSize(deployment), 10 + 40_960 + 300);
    assert.equal(deployment.eventsNamed("log_halted").length, 0);
    found = tiles(deployment);
  }
  assert.deepEqual(found, await derivedAnew(deployment));
});

test("full files do not wait for the publication", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open(NEVER);
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer, [4096]);
  const last = join(folderOf(deployment), entryBundlePath(4096 / TILE_WIDTH - 1));
  while (!statSync(last, { throwIfNoEntry: false })) await new Promise((r) => setImmediate(r));
  assert.equal(
    statSync(join(folderOf(deployment), "checkpoint"), { throwIfNoEntry: false }),
    undefined,
  );
  await ledger.publish();
  assert.equal(publishedSize(deployment), 4096);
});

test("THREAT-05: a crash between the acknowledgement and the tiles loses neither", async () => {
  await using deployment = await createDeployment();
  const sizes = [200, 56, 1, 700, 255, 1, 4096, 90];
  const child = startLedger(deployment);
  await child.ready;
  {
    await using signer = deployment.connect("signer-consumer");
    for (const n of sizes) await commit(deployment, signer, [n]);
    // The last answer is here, and the edge of these entries is not on disk: it waits for its time.
    child.process.kill("SIGKILL");
    assert.equal((await child.ended).signal, "SIGKILL");
  }
  let found: Readonly<Record<string, string>>;
  {
    await using ledger = await deployment.open(NEVER);
    await ledger.publish();
    assert.equal(publishedSize(deployment), deployment.consumer.range.size);
    found = tiles(deployment);
    await using signer = deployment.connect("signer-consumer");
    const ask = { op: "entries", log: CONSUMER, from: 0, max: 4096 };
    const range = CompactRange.empty();
    for (let from = 0; from < deployment.consumer.range.size; from = range.size) {
      const { attachment } = await signer.request({ ...ask, from });
      range.appendEntries(splitEntries(attachment, attachment.length / 67, "issuance"));
    }
    assert.deepEqual(range.root(), deployment.consumer.range.root());
  }
  assert.deepEqual(found, await derivedAnew(deployment));
});

test("partial files of an earlier process go when the full one is there", async () => {
  await using deployment = await createDeployment();
  {
    await using ledger = await deployment.open(NEVER);
    await using signer = deployment.connect("signer-consumer");
    await commit(deployment, signer, [100]);
    await ledger.publish();
    await commit(deployment, signer, [300]);
  }
  // As a process leaves it that ends while it publishes: partial files of more than its checkpoint says.
  const torn = join(folderOf(deployment), "tile/0/000.p");
  mkdirSync(torn, { recursive: true });
  for (const width of [100, 120, 255]) writeFileSync(join(torn, String(width)), "torn");
  await using ledger = await deployment.open(NEVER);
  /** The folders of partial files, once all is published: what the witness has not cosigned is not. */
  const partials = async (): Promise<string[]> => {
    await ledger.publish();
    for (; publishedSize(deployment) < deployment.consumer.range.size; await ledger.publish())
      await new Promise((resolve) => setImmediate(resolve));
    return globSync("tile/**/*.p", { cwd: folderOf(deployment) }).toSorted();
  };
  assert.deepEqual(await partials(), ["tile/0/001.p", "tile/1/000.p", "tile/entries/001.p"]);
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer, [200]);
  assert.deepEqual(await partials(), ["tile/0/002.p", "tile/1/000.p", "tile/entries/002.p"]);
});

test("P3: a log that never rests is cosigned in time, without asking the witness for each batch", async () => {
  // What a commit waits for at most before the witness is asked about it, of the 5 s that it may take.
  assert.ok(PUBLISH_WITHIN_MS + SUBMIT_WITHIN_MS <= 2500);
  await using deployment = await createDeployment();
  const timing = { publishDelayMs: 2, witnessTiming: { intervalMs: 100, refreshMs: 10_000 } };
  await using ledger = await deployment.open(timing);
  await using signer = deployment.connect("signer-consumer");
  const log = ledger.logs.get(CONSUMER);
  const cosigned = new Set<number>();
  let commits = 0;
  const startedAt = performance.now();
  while (cosigned.size < 5) {
    await commit(deployment, signer, [1]);
    commits += 1;
    if (log?.cosigned) cosigned.add(log.cosigned.size);
  }
  const elapsedMs = performance.now() - startedAt;
  assert.ok(commits > cosigned.size, `${commits} commits for 5 cosignatures`);
  assert.ok(deployment.witness.answers.length <= elapsedMs / timing.witnessTiming.intervalMs + 2);
});
