import assert from "node:assert/strict";
import { generateKeyPairSync, hash } from "node:crypto";
import { test } from "node:test";
import { isJsonObject } from "@redoubt/base";
import {
  encodeRoot,
  encodeRootKey,
  encodeSignedRoot,
  parseRootKey,
  RegistryReader,
  signStatement,
  type SignedStatement,
  type StatementBody,
} from "@redoubt/registry";
import {
  CompactRange,
  createVerifierKey,
  encodeVerifierKey,
  hashLeaf,
  openCheckpoint,
  SIGNATURE_TYPE,
  verifyConsistency,
  verifyInclusion,
} from "@redoubt/tlog";
import { RemoteError, type SocketClient } from "@redoubt/wire";
import {
  CONSUMER,
  createDeployment,
  refusalOf,
  REGISTRY,
  type Deployment,
  type TestCaller,
  textOf,
} from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

const TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";

/** The ring key of a realm, as a signer holds it. */
function makeRing(realm: string) {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const name = `${realm}/ring`;
  const key = createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
  const sign = (body: StatementBody): SignedStatement =>
    signStatement(body, { name, privateKey }, 1_764_000_000);
  return { key, sign };
}

const realmBody = (realm: string, ring: string): StatementBody => ({
  type: "realm",
  realm,
  issuer: `http://127.0.0.1/${realm}/v2.0`,
  ring,
  tenantRule: { fixed: TENANT },
});

const tenantBody = (audiences: readonly string[] = ["api://a"]): StatementBody => ({
  type: "tenant",
  realm: "consumer",
  tenant: TENANT,
  status: "active",
  audiences,
});

const keyStateBody = (realm: string): StatementBody => ({
  type: "key-state",
  realm,
  kid: hash("sha256", realm, "base64url"),
  state: "tainted",
  reason: "test",
});

const keyRetainBody = (by: "ring" | "operator", retain = true): StatementBody => ({
  type: "key-retain",
  realm: "consumer",
  kid: hash("sha256", "consumer", "base64url"),
  by,
  retain,
  reason: "test",
});

const rootBody: StatementBody = {
  type: "root",
  kind: "demo",
  version: 1,
  hash: hash("sha256", "root", "base64url"),
  root: "e30",
};

function appendHead(
  { statement, envelope }: Pick<SignedStatement, "statement" | "envelope">,
  ifSize?: number,
) {
  return {
    op: "append",
    log: REGISTRY,
    statement: statement.toString("base64url"),
    envelope: envelope.toString("base64url"),
    ...(ifSize === undefined ? {} : { ifSize }),
  };
}

/** A realm, a tenant, a client, and a key state: one statement of each audience. */
async function fill(deployment: Deployment, operator: SocketClient): Promise<void> {
  const ring = makeRing("consumer");
  const client: StatementBody = {
    type: "client",
    realm: "consumer",
    tenant: TENANT,
    client: "shop",
    status: "active",
    audiences: ["api://a"],
    scopes: ["read"],
  };
  for (const body of [realmBody("consumer", encodeVerifierKey(ring.key)), tenantBody(), client])
    await operator.request(appendHead(deployment.statement(body)));
  await operator.request(appendHead(ring.sign(keyStateBody("consumer"))));
}

test("append gives each statement an index under a checkpoint of the registry key, and folds", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using operator = deployment.connect("operator");
  await fill(deployment, operator);
  const signed = deployment.statement(tenantBody());
  const { head } = await operator.request(appendHead(signed));
  assert.deepEqual([head.index, head.size], [4, 5]);
  const verifiers = deployment.verifiers(REGISTRY);
  assert.equal(openCheckpoint(textOf(head.checkpoint), { origin: REGISTRY, verifiers }).size, 5);
  const [logKey] = verifiers;
  assert.ok(logKey);
  await using monitor = deployment.connect("monitor");
  const kinds: string[] = [];
  const reader = new RegistryReader({
    client: monitor,
    log: REGISTRY,
    logKey,
    operator: deployment.operator,
    seesAll: true,
    onItem: (_, { kind }) => kinds.push(kind),
  });
  assert.equal(await reader.poll(), 5);
  // The key state is of a key that nobody registered.
  assert.deepEqual(kinds, ["applied", "applied", "applied", "void", "applied"]);
  assert.ok(reader.registry.clients.has(`consumer/${TENANT}/shop`));
});

test("the registry hands each caller the bodies that it may see", async (t) => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using operator = deployment.connect("operator");
  await fill(deployment, operator);
  const expected: readonly (readonly [TestCaller, string])[] = [
    ["operator", "realm tenant client key-state"],
    ["monitor", "realm tenant client key-state"],
    ["signer-consumer", "realm tenant client key-state"],
    ["signer-enterprise", "realm tenant client key-state"],
    ["publisher", "realm tenant - key-state"],
    ["issuer-consumer", "realm tenant client -"],
    ["issuer-enterprise", "- - - -"],
  ];
  for (const [caller, types] of expected)
    await t.test(caller, async () => {
      await using client = deployment.connect(caller);
      const { head } = await client.request({ op: "registry", from: 0, max: 512 });
      const items: unknown = head.items;
      assert.ok(Array.isArray(items));
      const found = items.map(({ statement }: { statement?: string }) => {
        const text = Buffer.from(statement ?? "", "base64url").toString();
        return /"type":"([a-z-]+)"/.exec(text)?.[1] ?? "-";
      });
      assert.equal(found.join(" "), types);
    });
});

test("append refuses what its caller may not say", async (t) => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open();
  const ring = makeRing("consumer");
  const other = makeRing("enterprise");
  const stranger = makeRing("stranger");
  const own = ring.sign(keyStateBody("consumer"));
  const cases: Readonly<Record<string, readonly [TestCaller, object, string]>> = {
    "a signer: another realm's key state": [
      "signer-consumer",
      appendHead(other.sign(keyStateBody("enterprise"))),
      "ERR_LEDGER_DENIED",
    ],
    "a signer: a tenant": [
      "signer-consumer",
      appendHead(deployment.statement(tenantBody())),
      "ERR_LEDGER_DENIED",
    ],
    "a signer: a root, even signed by the operator": [
      "signer-consumer",
      appendHead(deployment.statement(rootBody)),
      "ERR_LEDGER_DENIED",
    ],
    "the operator: a root that a ring signed": [
      "operator",
      appendHead(ring.sign(rootBody)),
      "ERR_STATEMENT_AUTHOR",
    ],
    "the monitor": ["monitor", appendHead(own), "ERR_LEDGER_DENIED"],
    "the publisher": ["publisher", appendHead(own), "ERR_LEDGER_DENIED"],
    "an issuer": ["issuer-consumer", appendHead(own), "ERR_LEDGER_DENIED"],
    "the operator, with a statement that it did not sign": [
      "operator",
      appendHead(stranger.sign(tenantBody())),
      "ERR_STATEMENT_AUTHOR",
    ],
    "the operator, on an issuance log": [
      "operator",
      { ...appendHead(deployment.statement(tenantBody())), log: CONSUMER },
      "ERR_LEDGER_DENIED",
    ],
    "a statement with a duplicate member": [
      "operator",
      appendHead({ ...own, statement: Buffer.from('{"v":1,"v":1}') }),
      "ERR_STATEMENT_MALFORMED",
    ],
    "text that is not base64url": [
      "operator",
      { ...appendHead(own), statement: "a+b=" },
      "ERR_REQUEST_MEMBER",
    ],
    "an unknown member": ["operator", { ...appendHead(own), extra: 1 }, "ERR_REQUEST_MEMBER"],
    "a size that the registry does not have": [
      "signer-consumer",
      appendHead(own, 1),
      "ERR_LEDGER_SIZE",
    ],
  };
  for (const [name, [caller, head, code]] of Object.entries(cases))
    await t.test(name, async () => {
      await using client = deployment.connect(caller);
      assert.equal(await refusalOf(client.request({ ...head })), code);
      assert.equal(ledger.logs.get(REGISTRY)?.size, 0);
    });
  await t.test("a signer: its own realm's key state", async () => {
    await using signer = deployment.connect("signer-consumer");
    assert.equal((await signer.request(appendHead(own, 0))).head.index, 0);
  });
});

test("ifSize is a compare-and-swap: of many in one turn one wins", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using operator = deployment.connect("operator");
  const signed = Array.from({ length: 5 }, () => deployment.statement(tenantBody()));
  const results = await Promise.allSettled(
    signed.map((one) => operator.request(appendHead(one, 0))),
  );
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  for (const result of results)
    if (result.status === "rejected") {
      assert.ok(result.reason instanceof RemoteError);
      assert.equal(result.reason.code, "ERR_LEDGER_SIZE");
      assert.equal(result.reason.details.size, 1);
    }
});

test("statements of the largest size come in answers that fit", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using operator = deployment.connect("operator");
  const audiences = Array.from({ length: 250 }, (_, i) => String(i).padStart(500, "a"));
  for (let i = 0; i < 3; i++)
    await operator.request(appendHead(deployment.statement(tenantBody(audiences))));
  await operator.request(appendHead(deployment.statement(tenantBody())));
  const [logKey] = deployment.verifiers(REGISTRY);
  assert.ok(logKey);
  const indexes: number[] = [];
  const reader = new RegistryReader({
    client: operator,
    log: REGISTRY,
    logKey,
    operator: deployment.operator,
    onItem: ({ index }) => indexes.push(index),
  });
  await reader.poll();
  assert.deepEqual(indexes, [0, 1, 2, 3]);
});

test("find gives the index of a digest, and wait ends when the log grows", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using operator = deployment.connect("operator");
  await using monitor = deployment.connect("monitor");
  await using signer = deployment.connect("signer-consumer");
  const waiting = monitor.request({ op: "wait", log: REGISTRY, size: 1, timeoutMs: 10_000 });
  const signed = [tenantBody(), tenantBody()].map((body) => deployment.statement(body));
  for (const one of signed) await operator.request(appendHead(one));
  assert.equal((await waiting).head.size, 2);
  assert.equal(
    (await monitor.request({ op: "wait", log: REGISTRY, size: 2, timeoutMs: 0 })).head.size,
    2,
  );
  const digest = hash("sha256", signed[1]?.statement ?? "", "base64url");
  const find = { op: "find", log: REGISTRY, digest };
  assert.equal((await operator.request(find)).head.index, 1);
  assert.equal(await refusalOf(signer.request(find)), "ERR_LEDGER_DENIED");
  const batch = deployment.consumer.next(randomEntries(90));
  await signer.request(batch.head, batch.attachment);
  const wanted = batch.entries[77]?.subarray(1, 33).toString("base64url");
  assert.equal(
    (await monitor.request({ op: "find", log: CONSUMER, digest: wanted })).head.index,
    77,
  );
  const unknown = monitor.request({ op: "find", log: CONSUMER, digest });
  assert.equal(await refusalOf(unknown), "ERR_LEDGER_NOT_FOUND");
});

test("THREAT-36: a caller with too many waits is answered at once; another still waits", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using operator = deployment.connect("operator");
  await using monitor = deployment.connect("monitor");
  await using publisher = deployment.connect("publisher");
  await using again = deployment.connect("publisher");
  const wait = { op: "wait", log: REGISTRY, size: 0, timeoutMs: 10_000 };
  const flood = Array.from({ length: 1023 }, () => publisher.request(wait));
  // One place of the connection stays free, so that this comes after all of them were taken.
  await publisher.request({ ...wait, timeoutMs: 0 });
  flood.push(again.request(wait));
  await again.request({ ...wait, timeoutMs: 0 });
  assert.equal((await again.request(wait)).head.size, 0, "answered at once: it polls");
  const waiting = monitor.request(wait);
  await monitor.request({ ...wait, timeoutMs: 0 });
  await operator.request(appendHead(deployment.statement(tenantBody())));
  assert.equal((await waiting).head.size, 1);
  for (const { head } of await Promise.all(flood)) assert.equal(head.size, 1);
});

test("proofs of inclusion and consistency verify against the answer's own checkpoint", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  const sizes: number[] = [];
  const roots = new Map<number, Buffer>();
  const entries: Buffer[] = [];
  for (const n of [1, 6, 250, 3, 300]) {
    const batch = deployment.consumer.next(randomEntries(n));
    await signer.request(batch.head, batch.attachment);
    entries.push(...batch.entries);
    sizes.push(entries.length);
    roots.set(entries.length, deployment.consumer.range.root());
  }
  for (const size of sizes)
    for (const index of [0, Math.floor(size / 2), size - 1]) {
      const { head } = await signer.request({ op: "prove", log: CONSUMER, index, size });
      const root = roots.get(size) ?? Buffer.alloc(0);
      const leafHash = hashLeaf(Buffer.from(textOf(head.leaf), "base64url"));
      assert.deepEqual(leafHash, hashLeaf(entries[index] ?? Buffer.alloc(0)));
      verifyInclusion({ index, size, leafHash, root, proof: hashes(head.proof) });
    }
  for (const [size1, root1] of roots)
    for (const [size2, root2] of roots) {
      const ask = signer.request({ op: "proveGrowth", log: CONSUMER, size1, size2 });
      if (size2 < size1) assert.equal(await refusalOf(ask), "ERR_LEDGER_NOT_FOUND");
      else verifyConsistency({ size1, root1, size2, root2, proof: hashes((await ask).head.proof) });
    }
  // A reader that is behind stands where its page ended, not where a batch did.
  const range = CompactRange.empty();
  for (const entry of entries) {
    range.appendEntries([entry]);
    const [size1, root1, size2] = [range.size, range.root(), entries.length];
    const { head } = await signer.request({ op: "proveGrowth", log: CONSUMER, size1, size2 });
    const root2 = roots.get(size2) ?? Buffer.alloc(0);
    verifyConsistency({ size1, root1, size2, root2, proof: hashes(head.proof) });
  }
  const beyond = [
    { size1: 8, size2: 9 },
    { size1: 560, size2: 561 },
    { index: 560 },
    { index: 3, size: 561 },
    { index: 3, size: 2 },
    { index: 6, size: 1 },
  ];
  for (const ask of beyond) {
    const op = "index" in ask ? "prove" : "proveGrowth";
    const refused = signer.request({ op, log: CONSUMER, ...ask });
    assert.equal(await refusalOf(refused), "ERR_LEDGER_NOT_FOUND", JSON.stringify(ask));
  }
});

function hashes(texts: unknown): Buffer[] {
  assert.ok(Array.isArray(texts));
  return texts.map((text) => Buffer.from(textOf(text), "base64url"));
}

test("THREAT-11: key-retain comes from its realm's signer or bears the operator's signature; the publisher sees it", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  await using operator = deployment.connect("operator");
  await using signer = deployment.connect("signer-consumer");
  await using foreign = deployment.connect("signer-enterprise");
  const ring = makeRing("consumer");
  await signer.request(appendHead(ring.sign(keyRetainBody("ring"))));
  await operator.request(appendHead(deployment.statement(keyRetainBody("operator"))));
  const denied = [
    foreign.request(appendHead(ring.sign(keyRetainBody("ring", false)))),
    signer.request(appendHead(deployment.statement(keyRetainBody("operator", false)))),
  ];
  for (const request of denied) await assert.rejects(request, { code: "ERR_LEDGER_DENIED" });
  // In the operator's name, and not by it: the ledger knows that key.
  const forged = operator.request(appendHead(ring.sign(keyRetainBody("operator", false))));
  await assert.rejects(forged, { code: "ERR_STATEMENT_AUTHOR" });
  await using publisher = deployment.connect("publisher");
  const { head } = await publisher.request({ op: "registry", from: 0, max: 512 });
  assert.ok(Array.isArray(head.items));
  assert.deepEqual(
    head.items.map((item) => isJsonObject(item) && typeof item["statement"] === "string"),
    [true, true],
  );
});

/** A root that names another operator; how many signed it only the fold asks. */
function rootNaming(operator: string): StatementBody {
  const holders = ["a", "b", "c"].map((name) => {
    const { privateKey } = generateKeyPairSync("ed25519");
    return parseRootKey(encodeRootKey(name, privateKey));
  });
  const ring = encodeVerifierKey(makeRing("consumer").key);
  const root = encodeRoot({
    kind: "production",
    version: 1,
    threshold: 2,
    keys: holders,
    made: 1_764_000_000,
    expires: 1_765_000_000,
    realms: [{ realm: "consumer", ring }],
    operator,
  });
  const { kind, version } = root.document;
  const text = encodeSignedRoot({ ...root, signatures: [] }).toString("base64url");
  return { type: "root", kind, version, hash: root.hash, root: text };
}

test("an operator that a root names is heard, its own root first, and after a restart", async () => {
  await using deployment = await createDeployment();
  const next = makeRing("operator");
  const refused = { code: "ERR_STATEMENT_AUTHOR" };
  {
    await using ledger = await deployment.open();
    await using operator = deployment.connect("operator");
    // Void, and in the log all the same: what cannot be read names nobody.
    await operator.request(appendHead(deployment.statement(rootBody)));
    const early = operator.request(appendHead(next.sign(tenantBody())));
    await assert.rejects(early, refused);
    await operator.request(appendHead(next.sign(rootNaming(encodeVerifierKey(next.key)))));
    await operator.request(appendHead(next.sign(tenantBody())));
    await ledger[Symbol.asyncDispose]();
  }
  await using ledger = await deployment.open();
  await using operator = deployment.connect("operator");
  const { head } = await operator.request(appendHead(next.sign(tenantBody(["api://b"]))));
  assert.equal(head.index, 3);
  await assert.rejects(operator.request(appendHead(makeRing("x").sign(tenantBody()))), refused);
  assert.equal(ledger.logs.get(REGISTRY)?.size, 4);
});
