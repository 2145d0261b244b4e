import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { generateKeyPairSync } from "node:crypto";
import { StoreError, type RegistryRepository } from "@redoubt/store";
import { changed, FakeLog, requesterOf, until } from "@redoubt/testkit";
import { encodeVerifierKey } from "@redoubt/tlog";
import { issuerEvents } from "./events.ts";
import { RealmRegistry } from "./realm-registry.ts";
import {
  basic,
  OTHER_TENANT,
  ISSUER,
  ofKey,
  ofSecret,
  post,
  SECRET,
  System,
  TENANT,
} from "./testing/system.ts";

const GRANT = { grant_type: "client_credentials" };

async function ready(): Promise<System> {
  const system = await System.open();
  await system.putTenant();
  await system.putClient();
  return system;
}

/** The status of the answer, and what the log says of it. */
async function ask(system: System, secret = SECRET, client = "app"): Promise<string> {
  const before = system.events.length;
  const answer = await post(system.tokenUrl(), GRANT, { authorization: basic(client, secret) });
  const refusal = system.events.slice(before).find(({ name }) => name === "token_refused");
  const code = refusal && Reflect.get(refusal.fields, "code");
  return [answer.status, code].filter((part) => part !== undefined).join(" ");
}

/** Changes the copy that the issuer keeps, while it does not run. */
function edit(system: System, sql: string): void {
  const database = new DatabaseSync(join(system.root, "issuer-enterprise", "store.sqlite"));
  assert.ok(database.prepare(sql).run().changes > 0);
  database.close();
}

describe("what the registry says of a client", () => {
  test("takes effect with the entry: status, tenant, and what it proves itself with", async () => {
    await using system = await ready();
    assert.equal(await ask(system), "200");
    await system.putClient({ status: "disabled" });
    assert.equal(await ask(system), "400 ERR_ISSUER_CLIENT_STATUS");
    await system.putClient({}, ofSecret("new"));
    assert.equal(await ask(system), "401 ERR_ISSUER_SECRET");
    assert.equal(await ask(system, "new"), "200");
    await system.putTenant(TENANT, { status: "suspended" });
    await system.stop();
    await system.start();
    await system.issuer.ready;
    assert.equal(await ask(system, "new"), "400 ERR_ISSUER_CLIENT_STATUS");
    await system.putTenant(TENANT);
    await system.putClient({}, null);
    assert.equal(await ask(system, "new"), "401 ERR_ISSUER_SECRET");
  });

  test("two secrets are taken at once, each until its time", async () => {
    await using system = await ready();
    const now = system.nowSeconds();
    const [old, next] = [ofSecret(SECRET, { until: now + 100 }), ofSecret("next")];
    await system.putClient({}, { secrets: [...old.secrets, ...next.secrets], keys: [] });
    assert.deepEqual([await ask(system), await ask(system, "next")], ["200", "200"]);
    system.advance(98);
    assert.equal(await ask(system), "200");
    system.advance(2);
    assert.deepEqual(
      [await ask(system), await ask(system, "next")],
      ["401 ERR_ISSUER_SECRET", "200"],
    );
  });

  test("a key ends at its time, too, and a client may go from a secret to a key without a gap", async () => {
    await using system = await ready();
    const { publicKey } = generateKeyPairSync("ed25519");
    const { kty = "", crv = "", x = "" } = publicKey.export({ format: "jwk" });
    const jwk = { kty, crv, x, alg: "Ed25519", kid: "one" };
    const end = system.nowSeconds() + 100;
    const both = { ...ofKey(jwk, { until: end }), secrets: ofSecret(SECRET).secrets };
    await system.putClient({}, both);
    assert.equal(await ask(system), "200");
    const header = Buffer.from(JSON.stringify({ alg: "Ed25519", kid: "one" })).toString(
      "base64url",
    );
    const assertion = async (): Promise<unknown> => {
      const before = system.events.length;
      const exp = system.nowSeconds() + 60;
      const whole = { iss: "app", sub: "app", aud: ISSUER, exp, jti: "one" };
      const claims = Buffer.from(JSON.stringify(whole)).toString("base64url");
      await post(system.tokenUrl(), {
        ...GRANT,
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: `${header}.${claims}.AAAA`,
      });
      return Reflect.get(system.events.at(before)?.fields ?? {}, "code");
    };
    assert.equal(await assertion(), "ERR_ISSUER_ASSERTION_SIGNATURE");
    system.advance(100);
    assert.equal(await assertion(), "ERR_ISSUER_ASSERTION_CLIENT");
  });

  test("THREAT-34: is heard of its own realm and from the operator only", async () => {
    await using system = await ready();
    const ring = encodeVerifierKey(new FakeLog("ring/consumer").key);
    const [issuer, tenantRule] = ["https://other.example/v2.0", { fixed: OTHER_TENANT }];
    system.state({ type: "realm", realm: "consumer", issuer, ring, tenantRule });
    const foreign = { realm: "consumer", tenant: OTHER_TENANT } as const;
    system.state({ type: "tenant", ...foreign, status: "active", audiences: ["api://orders"] });
    system.sayClient({ ...foreign, client: "foreign" }, ofSecret(SECRET));
    const own = { realm: "enterprise", tenant: TENANT, client: "app" };
    const rights = { status: "disabled", audiences: [], scopes: [] } as const;
    system.stateAsStranger({ type: "client", ...own, ...rights });
    await system.read();
    assert.equal(await ask(system, SECRET, "foreign"), "401 ERR_ISSUER_SECRET");
    assert.equal(await ask(system), "200");
    const { clients, tenants } = await system.operate({ op: "status" });
    assert.deepEqual([clients, tenants], [1, 1]);
    const voids = system.events.filter(({ name }) => name === "registry_entry_void");
    assert.equal(voids.length, 1);
  });
});

describe("THREAT-06: a ledger that lies to an issuer", () => {
  test("cannot take back what was read, over a restart", async () => {
    await using system = await ready();
    const { size } = system.registry;
    await system.putClient({}, ofSecret("new"));
    await system.stop();
    const { batches } = system.registry;
    const newest = batches.splice(size);
    await system.start();
    await until(() => system.names.includes("registry_failed"));
    assert.equal(await ask(system), "503 ERR_ISSUER_REGISTRY");
    assert.equal((await fetch(`${system.origin}/health`)).status, 503);
    batches.push(...newest);
    await system.issuer.ready;
    assert.deepEqual(
      [await ask(system), await ask(system, "new")],
      ["401 ERR_ISSUER_SECRET", "200"],
    );
  });

  test("cannot exchange a body", async () => {
    await using system = await ready();
    const honest = system.ledger.misbehave;
    system.ledger.misbehave = async (call, truth) => {
      if (call.op !== "registry" || call.head["from"] === 0)
        return honest?.(call, truth) ?? truth();
      const items: unknown = Reflect.get((await truth()).head, "items");
      assert.ok(Array.isArray(items));
      const [first] = system.registry.items;
      const statement = first?.statement?.toString("base64url");
      return changed(truth, { items: items.map((item: object) => ({ ...item, statement })) });
    };
    system.sayClient({ status: "disabled" }, ofSecret(SECRET));
    await until(() => system.names.includes("registry_failed"));
    const failure = system.events.find(({ name }) => name === "registry_failed");
    assert.equal(Reflect.get(failure?.fields ?? {}, "code"), "ERR_REGISTRY_BODY");
    system.ledger.misbehave = honest;
    await until(() => system.names.includes("registry_back"));
    assert.equal(await ask(system), "400 ERR_ISSUER_CLIENT_STATUS");
  });

  test("cannot keep news back that the signer was shown for longer than 10 s", async () => {
    await using system = await ready();
    const { size } = system.registry;
    system.signer.registrySize = () => size + 1;
    const asked = system.signer.metadataAsked;
    await until(() => system.signer.metadataAsked > asked + 1);
    assert.equal(await ask(system), "200");
    system.advance(9.9);
    assert.equal(await ask(system), "200");
    system.advance(0.1);
    assert.equal(await ask(system), "503 ERR_ISSUER_REGISTRY");
    assert.equal((await fetch(`${system.origin}/health`)).status, 503);
    system.signer.registrySize = () => size;
    await until(() => Reflect.get(system.issuer.status(), "ready") === true);
    assert.equal(await ask(system), "200");
  });
});

describe("THREAT-06: a ledger that shows an issuer an entry without its body", () => {
  test("is found by the signer's count within 10 s, and all is read anew", async () => {
    await using system = await ready();
    const honest = system.ledger.misbehave;
    const { size } = system.registry;
    system.ledger.misbehave = async (call, truth) => {
      if (call.op !== "registry") return honest?.(call, truth) ?? truth();
      const items: unknown = Reflect.get((await truth()).head, "items");
      assert.ok(Array.isArray(items));
      const from = Number(call.head["from"]);
      const shown = items.map((item: { readonly entry: string }, place) =>
        from + place === size ? { entry: item.entry } : item,
      );
      return changed(truth, { items: shown });
    };
    await system.putClient({}, ofSecret("new"));
    const asked = system.signer.metadataAsked;
    await until(() => system.signer.metadataAsked > asked + 1);
    assert.equal(await ask(system), "200");
    system.advance(9.9);
    assert.equal(await ask(system), "200");
    system.advance(0.1);
    await until(() => system.names.includes("registry_withheld"));
    system.ledger.misbehave = honest;
    system.advance(10);
    await until(() => Reflect.get(system.issuer.status(), "ready") === true);
    await system.read();
    assert.equal(await ask(system, "new"), "200");
    assert.equal(await ask(system), "401 ERR_ISSUER_SECRET");
    await system.stop();
    await system.start();
    await system.issuer.ready;
    assert.equal(await ask(system, "new"), "200");
  });

  test("leaves nothing of the reading that was given up, not even of an answer that comes late", async () => {
    await using system = await ready();
    const honest = system.ledger.misbehave;
    const { issuerStatements } = system.signer;
    const late = Promise.withResolvers<void>();
    let isHeld = false;
    system.ledger.misbehave = async (call, truth) => {
      const isOld = call.op === "registry" && call.head["from"] !== 0 && !isHeld;
      if (!isOld || system.registry.size === 3) return honest?.(call, truth) ?? truth();
      isHeld = true;
      const answer = await truth();
      await late.promise;
      return answer;
    };
    system.sayClient({}, ofSecret("new"));
    await until(() => isHeld);
    // The old reading waits for its answer, and the signer has been shown more.
    system.signer.registrySize = () => 3;
    system.signer.issuerStatements = (size) => issuerStatements(size) + 1;
    const asked = system.signer.metadataAsked;
    await until(() => system.signer.metadataAsked > asked + 1);
    system.advance(10);
    await until(() => system.names.includes("registry_withheld"));
    system.signer.issuerStatements = issuerStatements;
    await system.read();
    late.resolve();
    system.signer.registrySize = () => system.registry.size;
    await system.putClient({}, ofSecret("newer"));
    assert.equal(await ask(system, "newer"), "200");
    await system.stop();
    await system.start();
    await system.issuer.ready;
    const failures = ["registry_copy_failed", "registry_copy_damaged"];
    assert.deepEqual(
      system.names.filter((name) => failures.includes(name)),
      [],
    );
    assert.equal(await ask(system, "newer"), "200");
  });

  test("gets no token out of it, however long it goes on", async () => {
    await using system = await ready();
    const { issuerStatements } = system.signer;
    system.signer.issuerStatements = (size) => issuerStatements(size) + 1;
    for (let round = 0; round < 3; round += 1) {
      const asked = system.signer.metadataAsked;
      await until(() => system.signer.metadataAsked > asked + 1);
      system.advance(10);
      await until(() => system.names.filter((name) => name === "registry_withheld").length > round);
      assert.equal(await ask(system), "503 ERR_ISSUER_REGISTRY");
    }
    await system.stop();
    await system.start();
    const asked = system.signer.metadataAsked;
    await until(() => system.signer.metadataAsked > asked + 1);
    assert.equal(await ask(system), "503 ERR_ISSUER_REGISTRY");
    assert.equal(system.names.filter((name) => name === "registry_withheld").length, 3);
  });
});

describe("a signer that has not read what the issuer has", () => {
  test("is waited for", async () => {
    await using system = await ready();
    let { size } = system.registry;
    system.signer.registrySize = () => size;
    await system.putClient({ client: "fresh" });
    let isAnswered = false;
    const answer = ask(system, SECRET, "fresh").finally(() => (isAnswered = true));
    // Others wait for nothing.
    assert.equal(await ask(system), "200");
    assert.equal(isAnswered, false);
    size += 1;
    assert.equal(await answer, "200");
  });

  test("is waited for in vain, two seconds and no longer", async () => {
    await using system = await ready();
    const { size } = system.registry;
    system.signer.registrySize = () => size;
    await system.putClient({ client: "fresh" });
    assert.equal(await ask(system, SECRET, "fresh"), "503 ERR_ISSUER_REGISTRY");
    assert.equal(system.signer.asked.length, 0);
  });
});

describe("the copy of the registry", () => {
  const DAMAGE = {
    "a statement": "update registry set statement = x'00' where position = 2",
    "an entry": "update registry set entry = zeroblob(65) where position = 1",
    "an entry that is gone": "delete from registry where position = 1",
    credentials: "update registry set credentials = x'7b7d' where credentials is not null",
  };
  for (const [what, sql] of Object.entries(DAMAGE))
    test(`${what} damaged: it is read again, and must lead to what was read`, async () => {
      await using system = await ready();
      await system.stop();
      edit(system, sql);
      const hidden = system.registry.batches.splice(-1);
      await system.start();
      assert.ok(system.names.includes("registry_copy_damaged"));
      await until(() => system.names.includes("registry_failed"));
      assert.equal(await ask(system), "503 ERR_ISSUER_REGISTRY");
      system.registry.batches.push(...hidden);
      await system.issuer.ready;
      assert.equal(await ask(system), "200");
    });

  test("a store that cannot write keeps no news from taking effect, and catches up", async () => {
    await using system = new System();
    await system.putTenant();
    const put: number[] = [];
    let isFull = true;
    const store: RegistryRepository = {
      all: () => [],
      head: () => undefined,
      clear: () => undefined,
      put: (entries) => {
        if (isFull) throw new StoreError("ERR_STORE_IO", "full");
        put.push(...entries.map(({ index }) => index));
      },
    };
    const { log, vkey: logKey } = system.config.registry;
    const names: string[] = [];
    await using registry = new RealmRegistry({
      realm: "enterprise",
      log,
      logKey,
      operator: system.config.operator,
      store,
      client: requesterOf(system.ledger.handler, "issuer-enterprise"),
      clock: { monotonic: () => performance.now() },
      events: issuerEvents((name) => void names.push(name)),
      onNews: () => undefined,
    });
    registry.signerRead({ registrySize: 2, issuerStatements: 2 });
    await registry.ready;
    assert.deepEqual([registry.counts().tenants, put, names], [1, [], ["registry_copy_failed"]]);
    isFull = false;
    await system.putTenant(OTHER_TENANT);
    await until(() => registry.counts().tenants === 2);
    assert.deepEqual(put, [0, 1, 2]);
  });
});
