import assert from "node:assert/strict";
import { globSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  buildConsistencyProof,
  buildInclusionProof,
  entryBundlePath,
  hashLeaf,
  openCheckpoint,
  parseEntryBundle,
  parseVerifierKey,
  tileHashReader,
  tilePath,
  TILE_WIDTH,
  verifyConsistency,
  verifyInclusion,
  logId,
} from "@redoubt/tlog";
import { parseJsonObject } from "@redoubt/verify/json";
import type { SocketClient } from "@redoubt/wire";
import {
  BROKER,
  CONSUMER,
  createDeployment,
  ENTERPRISE,
  REGISTRY,
  type Deployment,
} from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

const published = (deployment: Deployment): string => join(deployment.folder, "published");
const logFolder = (deployment: Deployment, origin: string): string =>
  join(published(deployment), logId(origin));

async function commit(
  deployment: Deployment,
  signer: SocketClient,
  sizes: readonly number[],
): Promise<Buffer[]> {
  const batches = sizes.map((n) => deployment.consumer.next(randomEntries(n)));
  await Promise.all(batches.map(({ head, attachment }) => signer.request(head, attachment)));
  return batches.flatMap(({ entries }) => [...entries]);
}

/** What any C2SP client does with the folder: checkpoint, tiles of its size, entries, proofs. */
function readLog(deployment: Deployment, origin: string): { entries: Buffer[]; size: number } {
  const folder = logFolder(deployment, origin);
  const note = readFileSync(join(folder, "checkpoint"), "utf8");
  const verifiers = deployment.verifiers(origin);
  const { size, root, verified } = openCheckpoint(note, { origin, verifiers });
  assert.equal(verified.length, verifiers.length);
  const reader = tileHashReader(
    (level, index, width) => readFileSync(join(folder, tilePath(level, index, width))),
    size,
  );
  const entries: Buffer[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const bundle = parseEntryBundle(readFileSync(join(folder, entryBundlePath(index, width))));
    assert.equal(bundle.length, width);
    entries.push(...bundle);
  }
  for (const index of [0, size >> 1, size - 1]) {
    const proof = buildInclusionProof(reader, index, size);
    const leafHash = hashLeaf(entries[index] ?? Buffer.alloc(0));
    verifyInclusion({ index, size, leafHash, root, proof });
  }
  return { entries, size };
}

test("the published folder is a C2SP log: checkpoint, tiles, bundles, proofs", async () => {
  await using deployment = await createDeployment();
  // Until it has spoken, what is published is the newest size.
  deployment.witness.isDown = true;
  await using ledger = await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const entries: Buffer[] = [];
  const roots: [number, Buffer][] = [];
  for (const sizes of [[1], [200, 54], [1], [1, 256], [700, 40]]) {
    entries.push(...(await commit(deployment, signer, sizes)));
    await ledger.publish();
    const { entries: read, size } = readLog(deployment, CONSUMER);
    assert.equal(size, entries.length);
    assert.deepEqual(read, entries);
    roots.push([size, deployment.consumer.range.root()]);
  }
  const folder = logFolder(deployment, CONSUMER);
  const [size2 = 0, root2 = Buffer.alloc(0)] = roots.at(-1) ?? [];
  const reader = tileHashReader((level, index, width) => {
    return readFileSync(join(folder, tilePath(level, index, width)));
  }, size2);
  for (const [size1, root1] of roots) {
    const proof = buildConsistencyProof(reader, size1, size2);
    verifyConsistency({ size1, root1, size2, root2, proof });
  }
  const partialFolders = globSync("tile/**/*.p", { cwd: folder });
  assert.deepEqual(
    partialFolders.toSorted(),
    ["tile/0/004.p", "tile/1/000.p", "tile/entries/004.p"],
    "partial tiles go when the full one is there",
  );
});

test("logs.json names every log with the keys of its checkpoints", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  const list = parseJsonObject(readFileSync(join(published(deployment), "logs.json"))).logs;
  assert.ok(Array.isArray(list));
  const found = list.map(({ origin, id, vkeys }: Record<string, unknown>) => {
    assert.ok(Array.isArray(vkeys));
    return [origin, id, vkeys.map((vkey: string) => parseVerifierKey(vkey).name)];
  });
  assert.deepEqual(found, [
    [REGISTRY, logId(REGISTRY), [REGISTRY]],
    [CONSUMER, logId(CONSUMER), [CONSUMER, `${CONSUMER}/writer`]],
    [ENTERPRISE, logId(ENTERPRISE), [ENTERPRISE, `${ENTERPRISE}/writer`]],
    [BROKER, logId(BROKER), [BROKER, `${BROKER}/writer`]],
  ]);
});

test("a published checkpoint gets its cosignature", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open({ publishDelayMs: 1 });
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer, [3]);
  const note = (): string => {
    const file = join(logFolder(deployment, CONSUMER), "checkpoint");
    return statSync(file, { throwIfNoEntry: false }) ? readFileSync(file, "utf8") : "";
  };
  while (!note().includes(deployment.witness.key.name)) {
    await new Promise((resolve) => setImmediate(resolve));
    await ledger.publish();
  }
  const verifiers = [...deployment.verifiers(CONSUMER), deployment.witness.key];
  const { verified, size } = openCheckpoint(note(), { origin: CONSUMER, verifiers });
  assert.deepEqual([verified.length, size], [3, 3]);
});

test("lost and damaged files are written again from the database", async (t) => {
  await using deployment = await createDeployment();
  {
    await using ledger = await deployment.open();
    await using signer = deployment.connect("signer-consumer");
    await commit(deployment, signer, [300, 300, 300]);
    await ledger.publish();
  }
  const folder = logFolder(deployment, CONSUMER);
  const snapshot = (): [string, string][] =>
    globSync("tile/**/*", { cwd: folder })
      .filter((path) => statSync(join(folder, path)).isFile())
      .toSorted()
      .map((path) => [path, readFileSync(join(folder, path), "hex")]);
  const whole = snapshot();
  const damages: Readonly<Record<string, () => void>> = {
    "a full tile lost": () => rmSync(join(folder, "tile/0/001")),
    "a full bundle changed": () => writeFileSync(join(folder, "tile/entries/000"), "x"),
    "the right edge changed": () => writeFileSync(join(folder, "tile/1/000.p/3"), Buffer.alloc(96)),
    "the right edge lost": () => rmSync(join(folder, "tile/0/003.p"), { recursive: true }),
    "the partial bundle changed": () => writeFileSync(join(folder, "tile/entries/003.p/132"), "x"),
    "the checkpoint torn": () => writeFileSync(join(folder, "checkpoint"), "redoubt.test/cons"),
    "everything lost": () => rmSync(published(deployment), { recursive: true }),
  };
  for (const [name, damage] of Object.entries(damages))
    await t.test(name, async () => {
      damage();
      deployment.events.length = 0;
      // Each start reads everything, not only what is new.
      await using _ = await deployment.open({ auditRestMs: 0 });
      await deployment.event("audited", ({ fields }) => fields.log === CONSUMER);
      assert.deepEqual(snapshot(), whole);
      assert.equal(readLog(deployment, CONSUMER).size, 900);
      assert.equal(deployment.eventsNamed("log_halted").length, 0);
    });
});

test("THREAT-05: tiles that cannot be written never hold up a commit, and follow later", async () => {
  await using deployment = await createDeployment();
  // Until it has spoken, what is published is the newest size.
  deployment.witness.isDown = true;
  await using ledger = await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer, [10]);
  await ledger.publish();
  const folder = logFolder(deployment, CONSUMER);
  renameSync(join(folder, "tile"), join(folder, "aside"));
  writeFileSync(join(folder, "tile"), "in the way");
  await commit(deployment, signer, [300]);
  await ledger.publish();
  await commit(deployment, signer, [300]);
  await ledger.publish();
  assert.equal(ledger.logs.get(CONSUMER)?.size, 610);
  assert.equal(deployment.eventsNamed("tiles_failed").length, 1);
  assert.equal(openPublished(deployment).size, 10);
  rmSync(join(folder, "tile"));
  renameSync(join(folder, "aside"), join(folder, "tile"));
  await ledger.publish();
  assert.equal(deployment.eventsNamed("tiles_recovered").length, 1);
  assert.equal(readLog(deployment, CONSUMER).size, 610);
});

function openPublished(deployment: Deployment): { readonly size: number } {
  const note = readFileSync(join(logFolder(deployment, CONSUMER), "checkpoint"), "utf8");
  return openCheckpoint(note, { origin: CONSUMER, verifiers: deployment.verifiers(CONSUMER) });
}

test("THREAT-35: the published bytes hold nothing but digests of what was said", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  await using operator = deployment.connect("operator");
  const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
  const secrets = [tenant, "client-of-tenant", "api://of-tenant", "sealed-body", "scope-of-client"];
  const blobs = secrets.map((text) => Buffer.from(text));
  const batch = deployment.consumer.next(randomEntries(300), blobs);
  await signer.request(batch.head, batch.attachment);
  const common = {
    realm: "consumer",
    tenant,
    status: "active",
    audiences: ["api://of-tenant"],
  } as const;
  for (const body of [
    { ...common, type: "tenant" },
    { ...common, type: "client", client: "client-of-tenant", scopes: ["scope-of-client"] },
  ] as const) {
    const { statement, envelope } = deployment.statement(body);
    const [text, env] = [statement.toString("base64url"), envelope.toString("base64url")];
    await operator.request({ op: "append", log: REGISTRY, statement: text, envelope: env });
  }
  await ledger.publish();
  const files = globSync("**/*", { cwd: published(deployment) })
    .map((path) => join(published(deployment), path))
    .filter((path) => statSync(path).isFile());
  assert.ok(files.length > 8);
  for (const file of files) {
    const bytes = readFileSync(file);
    for (const secret of secrets)
      for (const form of [Buffer.from(secret), ...innerBase64(secret)])
        assert.ok(!bytes.includes(form), `${secret} in ${file}`);
    if (!file.includes("entries")) continue;
    for (const entry of parseEntryBundle(bytes)) {
      assert.equal(entry.length, 65);
      assert.ok(entry[0] === 1 || entry[0] === 2);
    }
  }
});

/** The middle of a text's base64, whatever stands before it. */
function innerBase64(text: string): Buffer[] {
  return [0, 1, 2].map((shift) => {
    const encoded = Buffer.from(`${" ".repeat(shift)}${text}`).toString("base64");
    return Buffer.from(encoded.slice(4, -4).replaceAll("=", ""));
  });
}
