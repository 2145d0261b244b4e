import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { createRemoteJWKSet, jwtVerify } from "jose";
import {
  allowInsecureRequests,
  clientCredentialsGrant,
  ClientSecretBasic,
  discovery,
  type ClientAuth,
} from "openid-client";
import { issuerTemplate, portsFrom, readDemo, readSettings, type DemoClient } from "@redoubt/cli";
import { createVerifier, fromDiscovery } from "@redoubt/verify";
import { blocksOf } from "../e2e/guide.ts";
import { startSystem, type System } from "../e2e/system.ts";

/** Other people's unmodified clients and verifiers against a running system. Plain HTTP is for loopback only. */
describe("ordinary OAuth clients", () => {
  let system: System;
  before(async () => {
    system = await startSystem();
  });
  after(() => system[Symbol.asyncDispose]());

  function issuerOf({ realm, tenant }: DemoClient): string {
    const template = issuerTemplate(realm, portsFrom(system.base).publisher);
    return template.replace("{tenantid}", tenant);
  }

  /** By the library's own choice of how to authenticate, unless said otherwise. */
  async function getToken(client: DemoClient, auth?: ClientAuth): Promise<string> {
    const server = new URL(issuerOf(client));
    const options = { execute: [allowInsecureRequests] };
    const config = await discovery(server, client.client, client.secret, auth, options);
    assert.equal(config.serverMetadata().issuer, issuerOf(client));
    const answer = await clientCredentialsGrant(config, { scope: "orders.read" });
    assert.equal(answer.token_type, "bearer");
    assert.equal(answer.expires_in, 3600);
    return answer.access_token;
  }

  for (const realm of ["consumer", "enterprise"] as const) {
    it(`openid-client discovers the ${realm} issuer; jose and @redoubt/verify accept its token`, async () => {
      const client = readDemo(system.folder).clients.find((c) => c.realm === realm);
      assert.ok(client);
      const issuer = issuerOf(client);
      const token = await getToken(client, ClientSecretBasic(client.secret));

      const keys = createRemoteJWKSet(new URL(`${issuer}/keys`));
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: client.audience,
        typ: "at+jwt",
      });
      assert.equal(payload["tid"], client.tenant);
      assert.equal(payload["scope"], "orders.read");

      const { realms, port } = readSettings(system.folder);
      const verifier = await createVerifier({
        trust: fromDiscovery({
          issuers: [{ issuer, realm, ring: realms[realm].ring }],
          allowLoopbackHttp: true,
        }),
        audience: client.audience,
        accept: [{ issuer: issuerTemplate(realm, port), realm, tenants: "any" }],
        issuance: "off",
      });
      const verified = verifier.verify(token);
      assert.equal(verified.tenantId, client.tenant);
      assert.equal(verified.key.realm, realm);
      verifier.close();
    });
  }

  it("docs/guide/clients.md: openid-client with its defaults, as the reader copies it", async () => {
    const client = readDemo(system.folder).clients.find(({ realm }) => realm === "enterprise");
    assert.ok(client);
    const issuer = issuerOf(client);
    const code = blocksOf("clients.md", "JavaScript: openid-client", "js").join("\n");
    const args = ["--input-type=module", "--eval", code];
    const own = { ISSUER: issuer, CLIENT_ID: client.client, CLIENT_SECRET: client.secret };
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      cwd: import.meta.dirname,
      env: own,
    });
    const keys = createRemoteJWKSet(new URL(`${issuer}/keys`));
    const { audience } = client;
    await jwtVerify(stdout.trim(), keys, { issuer, audience, typ: "at+jwt" });
  });

  it("a token of one realm is refused by a service of the other", async () => {
    const [consumer, enterprise] = readDemo(system.folder).clients;
    assert.ok(consumer && enterprise);
    const token = await getToken(consumer);
    const keys = createRemoteJWKSet(new URL(`${issuerOf(enterprise)}/keys`));
    await assert.rejects(jwtVerify(token, keys, { issuer: issuerOf(enterprise) }), {
      code: "ERR_JWKS_NO_MATCHING_KEY",
    });
  });
});
