import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { test, type TestContext } from "node:test";
import timers from "node:timers/promises";
import { DRILL_AUDIENCE, jwkOf } from "@redoubt/registry";
import { generateKeyPair, joseFromDer, publicJwk, signKeyRecord } from "@redoubt/keys";
import { writeDemo } from "./demo.ts";
import { forge } from "./drill/drill-key.ts";
import { CONSUMER_TENANT, issuerTemplate } from "./layout.ts";
import { writeSettings } from "./settings.ts";
import { FakeSystem } from "./testing/fake-system.ts";
import { withHttp } from "./testing/http.ts";
import { ISSUANCE_LOG, testKey } from "./testing/registry.ts";
import { verifyToken } from "./verify.ts";

const TENANT = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001";
const RING = testKey("ring/enterprise");

/** A token of the enterprise realm, and what a publisher on this port serves for it. */
function issued(port: number) {
  const template = issuerTemplate("enterprise", port);
  const now = Math.floor(Date.now() / 1000);
  const { publicKey, privateKey } = generateKeyPair("ES256");
  const signed = signKeyRecord(
    {
      alg: "ES256",
      publicKey: publicJwk(publicKey),
      realm: "enterprise",
      issuer: template,
      tenants: { bucket: 0, of: 1, except: [CONSUMER_TENANT] },
      class: "at",
      audiences: "any",
      maxLifetimeSeconds: 3600,
      signFrom: now - 60,
      signUntil: now + 3600,
      verifyUntil: now + 7200,
      custody: "plain-file",
      issuanceFloor: "audit",
      log: ISSUANCE_LOG,
    },
    RING.privateKey,
  );
  const { kid } = signed.record;
  const key = {
    ...signed,
    kid,
    realm: "enterprise",
    state: "active",
    stateAt: 0,
    index: 0,
  } as const;
  const iss = template.replace("{tenantid}", TENANT);
  const by = { kid, sign: (input: Buffer) => joseFromDer(sign("sha256", input, privateKey)) };
  const token = forge(by, { iss, tid: TENANT, iat: now, exp: now + 600 });
  const pages = new Map<string, object>([
    [`${iss}/.well-known/openid-configuration`, { issuer: iss, jwks_uri: `${iss}/keys` }],
    [`${iss}/keys`, { keys: [jwkOf(key)] }],
  ]);
  return { token, pages };
}

/** Pauses between attempts end at once; gives back how long each would have been. */
function withoutPauses(t: TestContext): readonly unknown[] {
  const pauses: unknown[] = [];
  const mocked = t.mock.method(timers, "setTimeout", async (delay?: number) => {
    pauses.push(delay);
  });
  syncBuiltinESMExports();
  t.after(() => {
    mocked.mock.restore();
    syncBuiltinESMExports();
  });
  return pauses;
}

test("P4: a token counts as reported only once the monitor acknowledged it", async (t) => {
  const pauses = withoutPauses(t);
  const served = { pages: new Map<string, object>() };
  await withHttp(
    ({ url, headers }) => {
      const page = served.pages.get(`http://${headers.host}${url}`);
      const type = { "content-type": "application/json" };
      return { status: page ? 200 : 404, body: JSON.stringify(page ?? {}), headers: type };
    },
    async (base) => {
      const port = Number(new URL(base).port);
      // Where its monitor would be, nobody listens.
      await using system = new FakeSystem(port);
      const { root, settings } = system;
      const enterprise = { ...settings.realms.enterprise, ring: RING.text };
      writeSettings(root, { ...settings, realms: { ...settings.realms, enterprise } });
      writeDemo(root, {
        clients: [],
        reporters: [{ reporter: "demo-api", secret: "A".repeat(43) }],
      });
      const { token, pages } = issued(port);
      served.pages = pages;
      const options = { tenant: TENANT, audience: [DRILL_AUDIENCE] };
      const quiet = await verifyToken(root, token, options);
      assert.deepEqual([quiet.valid, quiet.valid && quiet.reported], [true, false]);
      const reported = verifyToken(root, token, { ...options, report: true });
      await assert.rejects(reported, { code: "ERR_REPORT", message: /did not acknowledge/ });
      assert.deepEqual(pauses, Array(5).fill(500));
      // What is refused was never accepted by anybody: nothing to report.
      const refused = await verifyToken(root, `${token}A`, { ...options, report: true });
      assert.equal(refused.valid, false);
      assert.equal(pauses.length, 5);
    },
  );
});
