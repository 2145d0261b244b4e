import assert from "node:assert/strict";
import { generateKeyPairSync, hash } from "node:crypto";
import { test } from "node:test";
import { encodeKeyRecord, publicJwk } from "@redoubt/keys";
import { createReportQueue } from "@redoubt/verify";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import type { DemoClient } from "../demo.ts";
import { CONSUMER_TENANT, portsFrom, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import { FakeSystem } from "../testing/fake-system.ts";
import { DrillDeliveries } from "./deliveries.ts";
import { activeKid, closeScene, issueLegitimate, type Scene } from "./scene.ts";
import { MONITOR } from "@redoubt/wire";

const TENANT = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001";

function kidOf(state: string): string {
  return `kid-${state}`.padEnd(43, "-");
}

function recordOf(tokenClass: string): string {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { bytes } = encodeKeyRecord({
    alg: "ES256",
    publicKey: { ...publicJwk(publicKey) },
    realm: "enterprise",
    issuer: "https://login.test/{tenantid}/v2.0",
    tenants: { bucket: 0, of: 1, except: [] },
    class: tokenClass,
    audiences: "any",
    maxLifetimeSeconds: 3600,
    signFrom: 1,
    signUntil: 2,
    verifyUntil: 3602,
    custody: "plain-file",
    issuanceFloor: "audit",
    log: "redoubt.test/enterprise/2026q4",
  });
  return encodeBase64url(bytes);
}

function keys(...states: readonly string[]): JsonObject {
  const key = { stateAt: 1, index: 1, jwk: {}, record: recordOf("at"), ring: "s" };
  // What signs ID tokens is another key, and active, too.
  const other = { ...key, record: recordOf("oidc"), kid: kidOf("oidc"), state: "active" };
  return {
    asOf: 1,
    keys: [other, ...states.map((state) => ({ ...key, kid: kidOf(state), state }))],
    asOfSeconds: 0,
    refreshHintSeconds: 300,
  };
}

test("a realm's key is the active one; where none is, the drill has nothing to try", async () => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  let answer = keys("verify-only", "active", "prepublished");
  await system.serve("signer-enterprise", "drill", () => ({ head: answer }));
  assert.equal(await activeKid(operator, "enterprise"), kidOf("active"));
  for (answer of [keys("verify-only", "prepublished"), keys()])
    await assert.rejects(activeKid(operator, "enterprise"), { code: "ERR_NO_ACTIVE_KEY" });
  for (answer of [{ ...keys(), keys: null }, {}])
    await assert.rejects(activeKid(operator, "enterprise"), { code: "ERR_REQUEST_MEMBER" });
});

function demo(realm: Realm, tenant: string): DemoClient {
  return { realm, tenant, client: `demo-${realm}`, secret: "s", audience: "a" };
}

function sceneOf(system: FakeSystem, operator: Operator): Scene {
  const { settings } = system;
  const key = { kid: "kid", record: "", ring: "", sign: () => Buffer.alloc(64) };
  return {
    operator,
    settings,
    ports: portsFrom(settings.port),
    consumer: demo("consumer", CONSUMER_TENANT),
    enterprise: demo("enterprise", TENANT),
    stolen: { consumer: key, enterprise: key },
    startedAt: 0,
    refusalsBefore: 0,
    reports: createReportQueue({
      url: "http://127.0.0.1:1",
      reporter: "drill",
      secret: "A".repeat(43),
      ackKey: settings.ack,
      onAlarm: () => undefined,
    }),
    deliveries: new DrillDeliveries(operator),
  };
}

test("THREAT-28: a legitimate token is told to the monitor; an answer without one is no token", async () => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  const delivered: unknown[] = [];
  await system.serve("monitor", "drill-enterprise", ({ head }) => {
    const { digests, seq } = MONITOR.delivered.request.read(head);
    delivered.push(digests);
    return { head: MONITOR.delivered.answer.write({ seq }) };
  });
  const good = {
    token: "aGVhZA.Ym9keQ.c2ln",
    kid: kidOf("active"),
    jti: "j",
    expiresIn: 600,
    log: "redoubt.test/log",
    index: 1,
  };
  let answer: JsonObject = good;
  await system.serve("signer-enterprise", "drill", () => ({ head: answer }));
  const scene = sceneOf(system, operator);
  assert.equal(await issueLegitimate(scene, "enterprise"), "aGVhZA.Ym9keQ.c2ln");
  const digests = [[hash("sha256", "aGVhZA.Ym9keQ", "base64url")]];
  assert.deepEqual(delivered, digests);
  for (answer of [{}, { ...good, token: "" }, { ...good, token: 7 }])
    await assert.rejects(issueLegitimate(scene, "enterprise"), { code: "ERR_REQUEST_MEMBER" });
  assert.deepEqual(delivered, digests);
  await closeScene(scene);
  assert.deepEqual(delivered, [...digests, []]);
});
