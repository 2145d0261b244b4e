import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { until } from "@redoubt/testkit";
import { hashLeaf, CompactRange, encodeCheckpoint, ed25519Signer, signNote } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { allowInsecureRequests, discovery } from "openid-client";
import { createRemoteJWKSet } from "jose";
import { parseConfig } from "./config.ts";
import { FileCache } from "./file-cache.ts";
import { CONSUMER_TENANT, Deployment, identity, LOG, NOW, TENANT } from "./testing/deployment.ts";
import { PublishedFolder } from "./testing/published.ts";
import { System } from "./testing/system.ts";

const PATH = `/${TENANT}/v2.0`;

describe("what is served", () => {
  test("documents with type, length, caching, validator; 304, HEAD and 405", async () => {
    const deployment = Deployment.standard();
    const kid = deployment.key("enterprise", TENANT);
    await using system = await System.open(deployment);
    const answer = await fetch(`${system.origin}${PATH}/keys`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.equal(answer.headers.get("cache-control"), "public, max-age=300");
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    const etag = answer.headers.get("etag") ?? "";
    assert.match(etag, /^"[\w-]{22}"$/);
    const jwks: { keys: Record<string, unknown>[] } = JSON.parse(await answer.text());
    assert.deepEqual(
      jwks.keys.map((key) => [key["kid"], key["issuer"], key["use"], typeof key["redoubt"]]),
      [[kid, "https://id.example/{tenantid}/v2.0", "sig", "object"]],
    );
    for (const header of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const same = await fetch(`${system.origin}${PATH}/keys`, {
        headers: { "if-none-match": header },
      });
      assert.deepEqual([same.status, same.headers.get("etag"), await same.text()], [304, etag, ""]);
    }
    const other = await fetch(`${system.origin}${PATH}/keys`, {
      headers: { "if-none-match": '"x"' },
    });
    assert.equal(other.status, 200);
    const head = await fetch(`${system.origin}${PATH}/keys`, { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    const post = await fetch(`${system.origin}${PATH}/keys`, { method: "POST" });
    assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  });

  test("openid-client discovers both forms, jose takes the JWKS", async () => {
    // The issuer URL is where the publisher is: its port is known only once it listens.
    const deployment = new Deployment();
    await using system = await System.open(deployment);
    deployment.realm("enterprise", `${system.origin}/{tenantid}/v2.0`, {
      except: [CONSUMER_TENANT],
    });
    deployment.tenant("enterprise", TENANT);
    const kid = deployment.key("enterprise", TENANT);
    system.grew();
    await until(async () => (await system.kids(PATH))?.length === 1);
    for (const algorithm of ["oidc", "oauth2"] as const) {
      const configuration = await discovery(
        new URL(system.origin + PATH),
        "app",
        undefined,
        undefined,
        {
          algorithm,
          execute: [allowInsecureRequests],
        },
      );
      const metadata = configuration.serverMetadata();
      assert.equal(metadata.token_endpoint, `https://token.example/${TENANT}/oauth2/v2.0/token`);
      const keys = createRemoteJWKSet(new URL(metadata.jwks_uri ?? ""));
      assert.equal((await keys({ alg: "ES256", kid })).type, "public");
    }
  });

  test("a change in the registry is served at once, on disk too, and stale files go away", async () => {
    const deployment = Deployment.standard();
    const kid = deployment.key("enterprise", TENANT, { states: ["prepublished", "active"] });
    const system = new System(deployment);
    await using _ = system;
    mkdirSync(join(system.www, "old"), { recursive: true });
    writeFileSync(join(system.www, "old", "keys"), "{}");
    await system.start();
    await system.publisher.ready;
    assert.deepEqual(await system.kids(PATH), [kid]);
    assert.deepEqual(readdirSync(join(system.www, "old")), []);
    deployment.keyState("enterprise", kid, "tainted");
    system.grew();
    await until(async () => (await system.kids(PATH))?.length === 0);
    await until(() => readFileSync(join(system.www, PATH, "keys"), "utf8") === '{"keys":[]}');
    deployment.tenant("enterprise", TENANT, "suspended");
    system.grew();
    await until(async () => (await system.kids(PATH)) === undefined);
    await until(() => !readdirSync(join(system.www, PATH)).includes("keys"));
  });

  test("a key ends by the clock alone", async () => {
    const deployment = Deployment.standard();
    deployment.key("enterprise", TENANT, { verifyUntil: NOW + 4000 });
    await using system = await System.open(deployment);
    assert.equal((await system.kids(PATH))?.length, 1);
    system.advance(4000);
    await until(async () => (await system.kids(PATH))?.length === 0);
  });

  test("an altered or lost file is not served, where memory holds none", async () => {
    const deployment = Deployment.standard();
    // No tick comes between, which would write the file again.
    await using system = await System.open(deployment, { cacheBytes: 0, tickMs: 3_600_000 });
    const file = join(system.www, PATH, "keys");
    assert.equal((await fetch(`${system.origin}${PATH}/keys`)).status, 200);
    writeFileSync(file, '{"keys":[{"kid":"evil"}]}');
    const altered = await fetch(`${system.origin}${PATH}/keys`);
    assert.equal(altered.status, 503);
    assert.doesNotMatch(await altered.text(), /evil/);
    rmSync(file);
    assert.equal((await fetch(`${system.origin}${PATH}/keys`)).status, 503);
    assert.equal(system.count("file_damaged"), 2);
  });

  test("an altered or lost file is written again, and served again", async () => {
    const deployment = Deployment.standard();
    await using system = await System.open(deployment, { cacheBytes: 0 });
    const file = join(system.www, PATH, "keys");
    const good = readFileSync(file, "utf8");
    const statusOfKeys = async () => (await fetch(`${system.origin}${PATH}/keys`)).status;
    const isGood = () => existsSync(file) && readFileSync(file, "utf8") === good;
    writeFileSync(file, "{}");
    await until(async () => (await statusOfKeys()) === 503);
    await until(isGood);
    assert.equal(await statusOfKeys(), 200);
    rmSync(file);
    await until(async () => (await statusOfKeys()) === 503);
    await until(isGood);
    assert.equal(await statusOfKeys(), 200);
    assert.equal(system.count("file_damaged"), 2);
  });

  test("health follows the ledger, the site stays", async () => {
    const deployment = Deployment.standard();
    await using system = await System.open(deployment);
    assert.equal((await fetch(`${system.origin}/health`)).status, 200);
    system.advance(61);
    assert.equal((await fetch(`${system.origin}/health`)).status, 503);
    assert.deepEqual(await system.kids(PATH), []);
  });
});

function addKey(deployment: Deployment): void {
  deployment.key("enterprise", TENANT);
}

/** Opens with an honest ledger, then lies about the entries that follow. */
async function lied(
  lie: (answer: Record<string, unknown>, deployment: Deployment) => Record<string, unknown>,
  append = addKey,
): Promise<{ system: System; before: readonly unknown[] | undefined }> {
  const deployment = Deployment.standard();
  deployment.key("enterprise", TENANT);
  const system = await System.open(deployment);
  const before = await system.kids(PATH);
  system.lie = (answer) => lie(answer, deployment);
  append(deployment);
  system.grew();
  await until(() => system.count("registry_failed") > 0 || system.count("site_built") > 1);
  return { system, before };
}

describe("THREAT-27: a ledger that lies", () => {
  test("a checkpoint without the registry's signature, or with another root or size, moves nothing", async () => {
    const stranger = ed25519Signer(LOG, identity(LOG).privateKey);
    const lies: Record<
      string,
      (answer: Record<string, unknown>, deployment: Deployment) => object
    > = {
      "signed by a stranger": (_, d) => ({ checkpoint: d.checkpoint(undefined, stranger) }),
      "no signature": (_, d) => ({ checkpoint: d.checkpoint().split("\n\n")[0] + "\n" }),
      "an older one": (_, d) => ({ checkpoint: d.checkpoint(d.items.length - 1) }),
      "of another log": (_, d) => ({ checkpoint: otherLog(d) }),
      "no checkpoint": () => ({ checkpoint: "" }),
      "an entry changed": ({ items }) => ({ items: changeFirst(items) }),
      "shorter than before": () => ({ size: 3, items: [] }),
      "an unknown member": () => ({ items: [{ entry: "AA", more: 1 }] }),
    };
    for (const [name, lie] of Object.entries(lies)) {
      const { system, before } = await lied((answer, d) => ({ ...answer, ...lie(answer, d) }));
      await using _ = system;
      assert.deepEqual(await system.kids(PATH), before, name);
      assert.equal(system.count("registry_failed"), 1, name);
      assert.equal(system.count("site_built"), 1, name);
      // Once it tells the truth, the site follows.
      system.lie = (answer) => answer;
      await until(async () => (await system.kids(PATH))?.length === 2);
      await until(() => system.count("registry_back") === 1);
    }
  });

  test("a key that its ring did not sign stays out, though the log holds it", async () => {
    const { system, before } = await lied(
      (answer) => answer,
      (deployment) =>
        deployment.key("enterprise", TENANT, { author: identity("test.example/ring/enterprise") }),
    );
    await using _ = system;
    assert.deepEqual(await system.kids(PATH), before);
    assert.ok(system.count("registry_entry_void") > 0);
  });

  test("a statement swapped under an honest entry is refused, with all that follows", async () => {
    const forged = new Deployment();
    const statement = encodeBase64url(
      forged.state({
        type: "tenant",
        realm: "enterprise",
        tenant: TENANT,
        status: "suspended",
        audiences: [],
      }).statement,
    );
    const { system, before } = await lied(({ items, ...answer }) => ({
      ...answer,
      items: Array.isArray(items) ? items.map((item: object) => ({ ...item, statement })) : items,
    }));
    await using _ = system;
    assert.deepEqual(await system.kids(PATH), before);
    assert.deepEqual(
      [system.count("registry_entry_void"), system.count("registry_failed")],
      [0, 1],
    );
  });

  test("a ledger that withholds bodies can only leave out", async () => {
    const { system, before } = await lied(({ items, ...answer }) => ({
      ...answer,
      items: Array.isArray(items)
        ? items.map(({ entry }: { entry: string }) => ({ entry }))
        : items,
    }));
    await using _ = system;
    assert.deepEqual(await system.kids(PATH), before);
  });
});

function otherLog({ items, log }: Deployment): string {
  const range = CompactRange.empty();
  for (const { entry } of items) range.append(hashLeaf(entry));
  const body = encodeCheckpoint({
    origin: "test.example/other",
    size: items.length,
    root: range.root(),
  });
  return signNote(body, [log.signer]);
}

function changeFirst(items: unknown): unknown {
  return Array.isArray(items)
    ? items.map((item: object, i) =>
        i === 0 ? { ...item, entry: encodeBase64url(Buffer.alloc(65, 2)) } : item,
      )
    : items;
}

function publish(system: System): string {
  const log = new PublishedFolder(system.published);
  log.write(1300);
  const { folder, id } = log;
  writeFileSync(join(folder, "secret"), "secret");
  for (const index of [1, 2, 3]) rmSync(join(folder, "tile", "0", `00${index}`));
  writeFileSync(join(folder, "tile", "0", "001"), Buffer.alloc(1024 * 1024 + 1));
  symlinkSync(join(folder, "secret"), join(folder, "tile", "0", "002"));
  mkdirSync(join(folder, "tile", "0", "003"));
  return id;
}

describe("the ledger's tiles", () => {
  test("nothing else can be named: traversal, other files, links, folders, large files", async () => {
    await using system = await System.open(Deployment.standard());
    const ID = publish(system);
    const paths = [
      `/tlog/${ID}/secret`,
      `/tlog/${ID}/tile/0/../../secret`,
      `/tlog/${ID}/tile/0/%2e%2e/%2e%2e/secret`,
      `/tlog/${ID}/..%2f..%2fs/publisher/secret`,
      `/tlog/../../publisher/config.json`,
      "/tlog/..//../etc/passwd",
      `/tlog/${ID}//checkpoint`,
      `/tlog/${ID}/checkpoint/`,
      `/tlog/${ID}/checkpoint%00`,
      `/tlog/${ID.toUpperCase()}x/checkpoint`,
      `/tlog/${ID.slice(1)}/checkpoint`,
      `/tlog/${ID}/tile/0/0`,
      `/tlog/${ID}/tile/00/000`,
      `/tlog/${ID}/tile/64/000`,
      `/tlog/${ID}/tile/0/x000/000`,
      `/tlog/${ID}/tile/0/000.p/0`,
      `/tlog/${ID}/tile/0/000.p/256`,
      `/tlog/${ID}/tile/0/006`,
      `/tlog/${ID}/`,
      "/tlog/",
      "/tlog",
      "/",
      "/../publisher/config.json",
      `/x/..${PATH}/keys`,
      `${PATH}/keys/`,
      `${PATH}/Keys`,
      "/consumer/v2.0/keys%2f",
      "/constructor",
      "/__proto__",
      // RFC 9112 §3.2.2: of these the path counts, and is held to the same.
      `http://evil.example/tlog/${ID}/secret`,
      `http://evil.example/tlog/${ID}/tile/0/../../secret`,
      "http://evil.example/../publisher/config.json",
      `http://evil.example/http://evil.example${PATH}/keys`,
      `http://user@evil.example${PATH}/keys`,
      `file://${PATH}/keys`,
    ];
    // Raw: clients and URL parsers would tidy these up.
    for (const path of paths)
      assert.match(await raw(system.publisher.port, path), /^HTTP\/1\.1 404 /, path);
    const bodyOf = async (path: string) =>
      (await raw(system.publisher.port, path)).split("\r\n\r\n")[1];
    assert.equal(await bodyOf(`http://evil.example${PATH}/keys`), await bodyOf(`${PATH}/keys`));
    // Too large, a link, a folder: not the tiles that they stand for.
    for (const index of [1, 2, 3])
      assert.match(
        await raw(system.publisher.port, `/tlog/${ID}/tile/0/00${index}`),
        /^HTTP\/1\.1 503 /,
      );
  });
});

async function raw(port: number, path: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  await once(socket, "close");
  return received;
}

describe("start and stop", () => {
  test("an empty registry is a site without issuers, and ready", async () => {
    await using system = await System.open(new Deployment());
    assert.deepEqual(await system.publisher.status(), {
      registrySize: 0,
      fresh: true,
      issuers: 0,
      keys: 0,
      documents: 0,
      attestations: 0,
      cachedBytes: 0,
      http: { requests: 0, inFlight: 0, unproven: 0, named: 0, evicted: 0 },
    });
  });

  test("a restart reads everything again", async () => {
    const deployment = Deployment.standard();
    const kid = deployment.key("enterprise", TENANT);
    await using system = await System.open(deployment);
    await system.stopPublisher();
    await system.startPublisher();
    await system.publisher.ready;
    assert.deepEqual(await system.kids(PATH), [kid]);
  });
});

test("the file cache is bounded in bytes and drops what was not asked for longest", () => {
  const cache = new FileCache(10);
  cache.set("a", Buffer.alloc(4));
  cache.set("b", Buffer.alloc(4));
  assert.equal(cache.get("a")?.length, 4);
  cache.set("c", Buffer.alloc(4));
  assert.deepEqual(
    [cache.get("a")?.length, cache.get("b"), cache.get("c")?.length],
    [4, undefined, 4],
  );
  cache.set("d", Buffer.alloc(11));
  assert.equal(cache.get("d"), undefined);
  cache.set("a", Buffer.alloc(6));
  assert.equal(cache.bytes, 10);
  cache.set("a", Buffer.alloc(11));
  assert.deepEqual([cache.get("a"), cache.bytes], [undefined, 4]);
});

describe("configuration", () => {
  const key = identity(LOG).text;
  const valid = {
    v: 1,
    http: { port: 8080, proxies: null, public: null },
    registry: { log: LOG, vkey: key },
    operator: identity("test.example/operator").text,
    tokenEndpoints: { consumer: "http://127.0.0.1:1/consumer/oauth2/v2.0/token" },
    publishedFolder: "ledger/published",
  };
  const parse = (change: object) =>
    parseConfig(Buffer.from(JSON.stringify({ ...valid, ...change })));

  test("the whole and each mutation", () => {
    assert.equal(parse({}).tokenEndpoints.size, 1);
    const cluster = parse({ tokenEndpoints: { cluster: null } }).tokenEndpoints;
    assert.equal(cluster.get("cluster"), null);
    const mutations = [
      { v: 2 },
      { http: { port: -1, proxies: null, public: null } },
      { registry: { log: "other.example", vkey: key } },
      { registry: { log: LOG, vkey: "x" } },
      { registry: { log: LOG, vkey: key, more: 1 } },
      { operator: "x" },
      { tokenEndpoints: { Consumer: "http://a/b" } },
      { tokenEndpoints: { consumer: "ftp://a/b" } },
      { tokenEndpoints: { consumer: 1 } },
      { tokenEndpoints: [] },
      { publishedFolder: "/etc" },
      { publishedFolder: "../other" },
      { publishedFolder: "a/../../b" },
      { unsafeSkipSignatures: true },
    ];
    for (const mutation of mutations)
      assert.throws(() => parse(mutation), { code: "ERR_CONFIG" }, JSON.stringify(mutation));
    assert.throws(() => parse({ http: {}, operator: "x" }), { message: /port.*;.*key/i });
    assert.throws(() => parseConfig(Buffer.from("{")), { code: "ERR_CONFIG" });
  });
});
