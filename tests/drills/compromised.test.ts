import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { createServer, type Server } from "node:http";
import { describe, it } from "node:test";
import { issuerTemplate, type DemoClient } from "@redoubt/cli";
import { DRILL_AUDIENCE, forge, textOf, waitForAlarm } from "@redoubt/cli/drill";
import { jwkOf, keysForIssuer } from "@redoubt/registry";
import { joseFromDer, publicJwk } from "@redoubt/keys";
import { createVerifier, fromDiscovery, TokenError } from "@redoubt/verify";
import type { JsonObject } from "@redoubt/verify/json";
import { ask, SIGNER } from "@redoubt/wire";
import { SETTLE_MS } from "../e2e/until.ts";
import { compose, type Composed } from "./compose.ts";
import { digestOf, monitorLives } from "./monitor-time.ts";

/** ARCHITECTURE §2, the table: each test plays one process that is fully compromised. */
describe("a compromised publisher", () => {
  it("THREAT-27: puts its own key into a JWKS: the SDK refuses it and the monitor alarms", async () => {
    await using system = await compose({ withoutPublisher: true });
    const client = clientOf(system, "enterprise");
    const issuer = issuerTemplate("enterprise", system.settings.port).replace(
      "{tenantid}",
      client.tenant,
    );
    const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const foreign = { ...publicJwk(own.publicKey), kid: "f".repeat(43), alg: "ES256", use: "sig" };
    await using publisher = await hostilePublisher(system, issuer, [
      ...(await honestKeys(system, client)),
      { ...foreign, issuer: issuerTemplate("enterprise", system.settings.port) },
    ]);

    const verifier = await createVerifier({
      trust: fromDiscovery({
        issuers: [{ issuer, realm: "enterprise", ring: system.settings.realms.enterprise.ring }],
        allowLoopbackHttp: true,
      }),
      audience: DRILL_AUDIENCE,
      accept: [
        {
          issuer: issuerTemplate("enterprise", system.settings.port),
          realm: "enterprise",
          tenants: "any",
        },
      ],
      issuance: "off",
    });
    const now = Math.floor(Date.now() / 1000);
    const token = forge(
      { kid: foreign.kid, sign: (input) => joseFromDer(sign("sha256", input, own.privateKey)) },
      { iss: issuer, tid: client.tenant, iat: now, exp: now + 600 },
    );
    assert.throws(
      () => verifier.verify(token),
      (error) => error instanceof TokenError && error.code === "ERR_JWKS_NO_MATCHING_KEY",
    );
    verifier.close();

    assert.equal(publisher.isListening, true);
    await monitorLives(system, 25);
    await system.monitor.settled();
    await monitorLives(system, 2);
    const alarm = await waitForAlarm(
      system.operator,
      {},
      ({ kind }) => kind === "foreign-key",
      SETTLE_MS,
    );
    assert.equal(alarm?.["severity"], "critical");
  });
});

describe("a compromised signer", () => {
  it("THREAT-28: logs what it forges: nobody delivered it, and the monitor alarms", async () => {
    await using system = await compose();
    const { tenant, client, audience } = clientOf(system, "enterprise");
    // A token that never went through an issuer: here by the issuer's own socket, played by this test.
    const { head } = await system.operator.client("signer-enterprise", "issuer").request({
      op: "issue",
      handle: { realm: "enterprise", tenant, class: "at" },
      client,
      sub: client,
      audience,
    });
    const digest = digestOf(textOf(head["token"]));
    await monitorLives(system, 60);
    const alarm = await waitForAlarm(
      system.operator,
      {},
      (found) => found["kind"] === "undelivered" && JSON.stringify(found).includes(digest),
      SETTLE_MS,
    );
    assert.equal(alarm?.["severity"], "critical");
  });
});

describe("a compromised issuer", () => {
  it("THREAT-04, THREAT-34: at the other realm's signer its secret opens nothing", async () => {
    await using system = await compose();
    const signer = system.operator.client("signer-consumer", "issuer");
    assert.equal((await ask(signer, SIGNER.metadata, {})).realm, "consumer");
    const { tenant, client, audience } = clientOf(system, "enterprise");
    await assert.rejects(
      system.operator.client("signer-consumer", "issuer").request({
        op: "issue",
        handle: { realm: "consumer", tenant, class: "at" },
        client,
        sub: client,
        audience,
      }),
      { code: "ERR_SIGNER_HANDLE" },
    );
    const alarm = await waitForAlarm(
      system.operator,
      {},
      ({ kind }) => kind === "signer-refusal",
      SETTLE_MS,
    );
    assert.ok(alarm, "the refusal was not noticed");
  });
});

function clientOf(system: Composed, realm: string): DemoClient {
  const client = system.demo.clients.find((c) => c.realm === realm);
  assert.ok(client);
  return client;
}

async function honestKeys(system: Composed, { realm, tenant }: DemoClient): Promise<object[]> {
  const registry = await system.operator.readRegistry();
  return keysForIssuer(registry, realm, tenant, Math.floor(Date.now() / 1000)).map(jwkOf);
}

/** A publisher that serves whatever keys it likes under an issuer's true address. */
async function hostilePublisher(
  { settings }: Composed,
  issuer: string,
  keys: readonly object[],
): Promise<AsyncDisposable & { readonly isListening: boolean }> {
  const metadata: JsonObject = { issuer, jwks_uri: `${issuer}/keys` };
  const path = new URL(issuer).pathname;
  const server: Server = createServer((request, response) => {
    const isKeys = request.url === `${path}/keys`;
    const isMetadata = request.url === `${path}/.well-known/openid-configuration`;
    response.writeHead(isKeys || isMetadata ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(isKeys ? { keys } : metadata));
  });
  await new Promise<void>((resolve) => {
    server.listen({ port: settings.port, host: "127.0.0.1" }, () => resolve());
  });
  return {
    isListening: server.listening,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
