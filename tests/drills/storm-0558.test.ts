import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import type { Policy } from "@redoubt/signer";
import { TokenError } from "@redoubt/verify";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import {
  activeKid,
  closeScene,
  DRILL_AUDIENCE,
  forge,
  issueLegitimate,
  issuerOf,
  openScene,
  openVerifier,
  publishedKids,
  textOf,
  waitForAlarm,
  type Alarm,
  type Scene,
  type StolenKey,
} from "@redoubt/cli/drill";
import { SETTLE_MS } from "../e2e/until.ts";
import { compose, type Composed } from "./compose.ts";
import { digestOf, monitorLives } from "./monitor-time.ts";
import { LeakyCustody } from "./stolen-keys.ts";

/** The Storm-0558 token: the consumer realm's key, an enterprise issuer and tenant. */
function stormToken(scene: Scene, key: StolenKey = scene.stolen.consumer): string {
  return forge(key, {
    iss: issuerOf(scene, scene.enterprise),
    tid: scene.enterprise.tenant,
    iat: scene.startedAt,
    exp: scene.startedAt + 600,
  });
}

/** Signed with a key that the consumer's JWKS lists, and the two key sets as they are published. */
async function stormOfARealKey(scene: Scene, custody: LeakyCustody) {
  const { operator } = scene;
  const kid = await activeKid(operator, "consumer");
  await publishedKids(scene, scene.consumer, kid);
  await publishedKids(scene, scene.enterprise, await activeKid(operator, "enterprise"));
  const consumer = await fetchJwks(issuerOf(scene, scene.consumer));
  const enterprise = await fetchJwks(issuerOf(scene, scene.enterprise));
  const jwk = consumer.find((key) => key["kid"] === kid);
  assert.ok(jwk, "the consumer JWKS does not list its active key");
  return { token: stormToken(scene, custody.steal(jwk)), consumer, enterprise };
}

async function fetchJwks(issuer: string): Promise<readonly JsonObject[]> {
  const response = await fetch(`${issuer}/keys`);
  const { keys } = parseJsonObject(await response.text(), { maxDepth: 12 });
  return Array.isArray(keys) ? keys.filter(isJsonObject) : [];
}

function joseKeys(keys: readonly JsonObject[]): ReturnType<typeof createLocalJWKSet> {
  const set: JSONWebKeySet = { keys: keys.map((key) => ({ ...key, kty: textOf(key["kty"]) })) };
  return createLocalJWKSet(set);
}

const scopeRefusal = (error: unknown) =>
  error instanceof TokenError && error.code === "ERR_KEY_SCOPE";

/** A signer without scope: it signs whatever handle it is asked for, with the only key that it has. */
const signAnything: Policy = ({ registry, realm, activeKey }, _caller, request) => {
  const own = [...registry.tenants.values()].find((tenant) => tenant.realm === realm);
  const key = own && activeKey(own.tenant, "at");
  if (!key) throw new RangeError("No active key yet");
  const { handle, client, sub: subject, audience, scope, context } = request;
  const { tenant } = handle;
  const issuer = textOf(context?.["issuer"]);
  return { key, issuer, tenant, client, subject, audience, scope, ttlSeconds: 600, context };
};

describe("Storm-0558 with one layer taken away at a time", () => {
  it("THREAT-01: without scope in the signer, the verifier refuses and the second join alarms", async () => {
    await using system = await compose({ signer: { policy: signAnything } });
    const scene = await openScene(system.operator, system.settings);
    const { head } = await system.operator.client("signer-consumer", "issuer").request({
      op: "issue",
      handle: { realm: "enterprise", tenant: scene.enterprise.tenant, class: "at" },
      client: "demo-enterprise",
      sub: "anybody",
      audience: DRILL_AUDIENCE,
      context: { issuer: issuerOf(scene, scene.enterprise) },
    });
    const token = textOf(head["token"]);
    const verifier = await openVerifier(scene, "enterprise", "off");
    assert.throws(() => verifier.verify(token), scopeRefusal);
    verifier.close();
    // Nobody delivered it: the issuer never saw it.
    const digest = digestOf(token);
    await alarmAfter(system, 60, (alarm) => {
      return alarm["kind"] === "undelivered" && JSON.stringify(alarm).includes(digest);
    });
    await closeScene(scene);
  });

  it("THREAT-01, THREAT-03: without scope in the verifier, the audit alarms", async () => {
    const custody = new LeakyCustody();
    await using system = await compose({ custodian: (folder) => custody.open(folder) });
    const scene = await openScene(system.operator, system.settings);
    const { token, consumer, enterprise } = await stormOfARealKey(scene, custody);
    // An ordinary verifier over both key sets: what the breached provider had.
    const shared = joseKeys([...consumer, ...enterprise]);
    const issuer = issuerOf(scene, scene.enterprise);
    const { protectedHeader } = await jwtVerify(token, shared, {
      issuer,
      audience: DRILL_AUDIENCE,
    });
    const digest = digestOf(token);
    const signature = token.slice(token.lastIndexOf(".") + 1);
    scene.reports.add({ digest, kid: String(protectedHeader.kid), alg: "ES256", signature });
    await scene.reports.flush();
    const alarm = await waitForAlarm(
      system.operator,
      { digest },
      ({ kind }) => kind === "forged",
      SETTLE_MS,
    );
    assert.equal(alarm?.["kind"], "forged");
    await closeScene(scene);
  });

  it("THREAT-01: an ordinary client at the enterprise JWKS refuses; over one shared JWKS it accepts", async () => {
    const custody = new LeakyCustody();
    await using system = await compose({ custodian: (folder) => custody.open(folder) });
    const scene = await openScene(system.operator, system.settings);
    const { token, consumer, enterprise } = await stormOfARealKey(scene, custody);
    const issuer = issuerOf(scene, scene.enterprise);
    const options = { issuer, audience: DRILL_AUDIENCE };
    await assert.rejects(jwtVerify(token, joseKeys(enterprise), options), {
      code: "ERR_JWKS_NO_MATCHING_KEY",
    });
    const accepted = await jwtVerify(token, joseKeys([...enterprise, ...consumer]), options);
    assert.equal(accepted.payload["tid"], scene.enterprise.tenant);
    await closeScene(scene);
  });

  it("THREAT-03: without log-before-sign, the token is valid and the audit alarms", async () => {
    await using system = await compose({
      signer: {
        tokenLog: (writer) => ({
          check: () => writer.check(),
          submit: () => Promise.resolve(writer.size),
        }),
      },
    });
    const scene = await openScene(system.operator, system.settings);
    const verifier = await openVerifier(scene, "enterprise", "audit");
    const token = await issueLegitimate(scene, "enterprise");
    verifier.verify(token);
    await scene.reports.flush();
    const digest = digestOf(token);
    const alarm = await waitForAlarm(
      system.operator,
      { digest },
      ({ kind }) => kind === "forged",
      SETTLE_MS,
    );
    assert.equal(alarm?.["kind"], "forged");
    verifier.close();
    await closeScene(scene);
  });

  it("THREAT-01: without the audit, signer and verifier still refuse", async () => {
    await using system = await compose();
    const scene = await openScene(system.operator, system.settings);
    const verifier = await openVerifier(scene, "enterprise", "off");
    assert.throws(() => verifier.verify(stormToken(scene)), scopeRefusal);
    const { enterprise } = scene;
    await assert.rejects(
      system.operator.client("signer-consumer", "issuer").request({
        op: "issue",
        handle: { realm: "enterprise", tenant: enterprise.tenant, class: "at" },
        client: enterprise.client,
        sub: "anybody",
        audience: enterprise.audience,
      }),
      { code: "ERR_SIGNER_HANDLE" },
    );
    verifier.close();
    await closeScene(scene);
  });
});

/** Waits for an alarm that fits, after the monitor lived through `seconds`. */
async function alarmAfter(
  system: Composed,
  seconds: number,
  fits: (alarm: Alarm) => boolean,
): Promise<void> {
  await monitorLives(system, seconds);
  assert.ok(await waitForAlarm(system.operator, {}, fits, SETTLE_MS), "no such alarm");
}
