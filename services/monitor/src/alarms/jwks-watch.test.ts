import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { jwkOf, Registry } from "@redoubt/registry";
import { generateKeyPair, publicJwk } from "@redoubt/keys";
import { parseVerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  CONSUMER_TENANT,
  ENTERPRISE_TENANT,
  PUBLISHER,
  signSomething,
  vkeyOf,
  type Deployment,
  type KeyFixture,
} from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";

const CONSUMER = "/consumer/v2.0";
const ENTERPRISE = `/${ENTERPRISE_TENANT}/v2.0`;

/** As the publisher makes them: from the fold of the registry. */
function jwkFor({ ledger, operator }: Deployment, kid: string): Record<string, unknown> {
  const registry = new Registry({
    operator: parseVerifierKey(vkeyOf("operator", operator.publicKey)),
  });
  for (const [index, item] of ledger.registry.items.entries()) registry.apply({ index, ...item });
  const key = registry.keys.get(kid);
  assert.ok(key);
  return jwkOf(key);
}

function serve(
  world: MonitorWorld,
  path: string,
  keys: readonly unknown[],
  uri = `${PUBLISHER}${path}/keys`,
): void {
  const document = { issuer: `${PUBLISHER}${path}`, jwks_uri: uri };
  world.pages.set(
    `${path}/.well-known/openid-configuration`,
    Buffer.from(JSON.stringify(document)),
  );
  world.pages.set(`${path}/keys`, Buffer.from(JSON.stringify({ keys })));
}

async function open(): Promise<{
  world: MonitorWorld;
  consumer: KeyFixture;
  enterprise: KeyFixture;
}> {
  const keys: KeyFixture[] = [];
  const world = await MonitorWorld.open({}, ({ deployment }) => {
    keys.push(deployment.addKey(deployment.consumer), deployment.addKey(deployment.enterprise));
  });
  const [consumer, enterprise] = keys;
  assert.ok(consumer && enterprise);
  serve(world, CONSUMER, [jwkFor(world.deployment, consumer.kid)]);
  serve(world, ENTERPRISE, [jwkFor(world.deployment, enterprise.kid)]);
  return { world, consumer, enterprise };
}

function addressOf(kid: string): string {
  return `${PUBLISHER}/.well-known/attestation/${kid}.json`;
}

async function jwksAlarms(world: MonitorWorld): Promise<unknown[]> {
  return [...(await world.alarms("foreign-key")), ...(await world.alarms("jwks-unreachable"))];
}

describe("the JWKS of our issuers", () => {
  it("registered keys in the right places are no alarm, however long", async () => {
    const { world } = await open();
    await using _ = world;
    await world.tickFor(90);
    assert.deepEqual(await jwksAlarms(world), []);
  });

  it("THREAT-27: a key without a record is a critical alarm ≤ 60 s", async () => {
    const { world, enterprise } = await open();
    await using _ = world;
    await world.tickFor(20);
    const { publicKey } = generateKeyPair("ES256");
    const foreign = { ...publicJwk(publicKey), kid: "attacker", alg: "ES256", use: "sig" };
    serve(world, ENTERPRISE, [jwkFor(world.deployment, enterprise.kid), foreign]);
    await world.tickFor(20);
    const [alarm] = await world.alarms("foreign-key");
    assert.equal(alarm?.["severity"], "critical");
    assert.deepEqual(alarm["detail"], {
      issuer: `${PUBLISHER}${ENTERPRISE}`,
      realm: "enterprise",
      kid: "attacker",
    });
  });

  it("THREAT-27: every way to differ from the record is found", async () => {
    const { world, consumer, enterprise } = await open();
    await using _ = world;
    const { deployment } = world;
    const jwk = jwkFor(deployment, enterprise.kid);
    const { x, y } = publicJwk(generateKeyPair("ES256").publicKey);
    const generated = deployment.addKey(deployment.enterprise);
    const variants: unknown[] = [
      { ...jwk, x, y },
      { ...jwk, alg: "ES384" },
      { ...jwk, issuer: `${PUBLISHER}${CONSUMER}` },
      { ...jwk, redoubt: undefined },
      { ...jwk, kid: encodeBase64url(randomBytes(32)) },
      { ...jwk, extra: 1.5 },
      { ...jwk, kid: undefined },
      { ...jwk, x5u: "https://attacker.example" },
      // THREAT-01: the consumer realm's key where enterprise clients look.
      jwkFor(deployment, consumer.kid),
    ];
    for (const [i, variant] of variants.entries()) {
      serve(world, ENTERPRISE, [jwk, variant]);
      await world.tickFor(16);
      assert.equal((await world.alarms("foreign-key")).length, i + 1, `variant ${i}`);
    }
    // The control: another registered key of the realm.
    serve(world, ENTERPRISE, [jwk, jwkFor(deployment, generated.kid)]);
    await world.tickFor(16);
    assert.equal((await world.alarms("foreign-key")).length, variants.length);
  });

  it("THREAT-27: a key may name its attestation, where a broker grants leases for its realm, and nothing else", async () => {
    const { world, consumer, enterprise } = await open();
    await using _ = world;
    const { deployment } = world;
    const shown = (kid: string, attestation: unknown) => ({
      ...jwkFor(deployment, kid),
      "x-attestation": attestation,
    });
    const honest = { uri: addressOf(enterprise.kid), hardware: "none" };
    const [log, other] = ["redoubt.test/broker", "redoubt.test/broker/writer"].map((name) =>
      vkeyOf(name, generateKeyPairSync("ed25519").publicKey),
    );
    deployment.say({
      type: "broker",
      log: "redoubt.test/broker",
      writer: other ?? "",
      logKey: log ?? "",
      realms: ["enterprise"],
    });
    for (const hardware of ["none", "snp"]) {
      serve(world, ENTERPRISE, [shown(enterprise.kid, { ...honest, hardware })]);
      await world.tickFor(16);
      assert.deepEqual(await jwksAlarms(world), [], hardware);
    }
    const variants = [
      { ...honest, uri: "https://attacker.example/attestation.json" },
      { ...honest, uri: addressOf(consumer.kid) },
      { ...honest, hardware: 1 },
      { ...honest, hardware: "" },
      { ...honest, more: 1 },
      honest.uri,
      {},
    ];
    for (const [i, variant] of variants.entries()) {
      serve(world, ENTERPRISE, [shown(enterprise.kid, variant)]);
      await world.tickFor(16);
      assert.equal((await world.alarms("foreign-key")).length, i + 1, `variant ${i}`);
    }
    serve(world, ENTERPRISE, [jwkFor(deployment, enterprise.kid)]);
    serve(world, CONSUMER, [
      shown(consumer.kid, { uri: addressOf(consumer.kid), hardware: "none" }),
    ]);
    await world.tickFor(16);
    assert.equal(
      (await world.alarms("foreign-key")).length,
      variants.length + 1,
      "no leases there",
    );
  });

  it("THREAT-27: a JWKS that a strict reader refuses, or metadata that leads elsewhere", async () => {
    const { world, enterprise } = await open();
    await using _ = world;
    const jwk = JSON.stringify(jwkFor(world.deployment, enterprise.kid));
    const path = `${ENTERPRISE}/keys`;
    for (const body of [`{"keys":[${jwk}],"keys":[]}`, "[]", "{}", `{"keys":[7]}`, "<html>", ""]) {
      world.pages.set(path, Buffer.from(body));
      await world.tickFor(16);
    }
    const [alarm] = await world.alarms("foreign-key");
    assert.equal(alarm?.["count"], 6);
    serve(world, CONSUMER, [], "https://attacker.example/keys");
    await world.tickFor(16);
    const document = { issuer: `${PUBLISHER}/other`, jwks_uri: `${PUBLISHER}${CONSUMER}/keys` };
    world.pages.set(
      `${CONSUMER}/.well-known/openid-configuration`,
      Buffer.from(JSON.stringify(document)),
    );
    await world.tickFor(16);
    assert.equal((await world.alarms("foreign-key")).at(-1)?.["count"], 2);
  });

  it("a key may stay for a moment after it was withdrawn, and no longer", async () => {
    const { world, enterprise } = await open();
    await using _ = world;
    const { deployment } = world;
    deployment.setKeyState(deployment.enterprise, enterprise.kid, "tainted");
    await world.tickFor(100);
    assert.deepEqual(await world.alarms("foreign-key"), []);
    await world.tickFor(60);
    assert.ok((await world.alarms("foreign-key")).length > 0);
  });

  it("a key that is published before the monitor read its statement is no alarm", async () => {
    const { world, enterprise } = await open();
    await using _ = world;
    const { deployment } = world;
    const added: string[] = [];
    world.onRequest = (path) => {
      if (added.length > 0 || path !== `${ENTERPRISE}/keys`) return;
      added.push(deployment.addKey(deployment.enterprise).kid);
      const keys = [enterprise.kid, ...added].map((kid) => jwkFor(deployment, kid));
      world.pages.set(path, Buffer.from(JSON.stringify({ keys })));
    };
    await world.tickFor(16);
    assert.equal(added.length, 1);
    assert.deepEqual(await world.alarms("foreign-key"), []);
  });

  it("a token signed by a foreign key is forged", async () => {
    const { world } = await open();
    await using _ = world;
    world.deployment.addReporter("shop", "pass");
    const { publicKey, privateKey } = generateKeyPair("ES256");
    const key = { kid: "attacker", alg: "ES256", publicKey, privateKey } as const;
    serve(world, CONSUMER, [{ ...publicJwk(publicKey), kid: "attacker" }]);
    await world.tickFor(1);
    const token = await signSomething(key);
    const digest = encodeBase64url(token.digest);
    const items = [{ digest, kid: "attacker", at: 1, count: 1 }];
    const session = encodeBase64url(randomBytes(16));
    const report = JSON.stringify({ v: 1, session, seq: 1, items });
    await world.postAs("shop", "/reports", report, "pass");
    // Six seconds later the JWKS may be polled again for the sake of evidence; nothing else polls it.
    await world.tickFor(6);
    const signature = encodeBase64url(token.signature);
    const body = JSON.stringify({ v: 1, items: [{ digest, kid: "attacker", signature }] });
    await world.postAs("shop", "/evidence", body, "pass");
    const [alarm] = await world.alarms("forged");
    assert.deepEqual(alarm?.["detail"], {
      kid: "attacker",
      issuer: `${PUBLISHER}${CONSUMER}`,
      via: "foreign-key",
    });
  });

  it("jwks-unreachable after 60 s, per issuer, ended by an answer", async () => {
    const { world } = await open();
    await using _ = world;
    await world.tickFor(20);
    world.pages.set(`${CONSUMER}/keys`, 0);
    world.pages.set(`${ENTERPRISE}/keys`, 503);
    await world.tickFor(50);
    assert.deepEqual(await world.alarms("jwks-unreachable"), []);
    await world.tickFor(20);
    const alarms = await world.alarms("jwks-unreachable");
    assert.deepEqual(
      alarms.map(({ severity }) => severity),
      ["warning", "warning"],
    );
    serve(world, CONSUMER, []);
    serve(world, ENTERPRISE, []);
    await world.tickFor(16);
    const closed = (await world.alarms("jwks-unreachable")).map((alarm) => alarm["closed"]);
    assert.deepEqual(closed, ["recovered", "recovered"]);
  });

  it("only active tenants have issuers", async () => {
    const { world } = await open();
    await using _ = world;
    world.pages.clear();
    for (const [realm, tenant] of [
      ["consumer", CONSUMER_TENANT],
      ["enterprise", ENTERPRISE_TENANT],
    ] as const)
      world.deployment.say({ type: "tenant", realm, tenant, status: "suspended", audiences: [] });
    await world.tickFor(90);
    assert.deepEqual(await jwksAlarms(world), []);
  });
});
