import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { issuerTemplate, portsFrom, readDemo, type DemoClient } from "@redoubt/cli";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { startSystem, type System } from "../e2e/system.ts";
import { goExample, javaExample, pythonExamples } from "./libraries.ts";

const [go, java, python] = await Promise.all([goExample(), javaExample(), pythonExamples()]);

/** docs/guide/clients.md, as its reader copies it. */
describe("the examples of the guide, with libraries of other languages", () => {
  let system: System;
  before(async () => {
    system = await startSystem();
  });
  after(() => system[Symbol.asyncDispose]());

  function demo(): DemoClient & { readonly issuer: string } {
    const client = readDemo(system.folder).clients.find(({ realm }) => realm === "enterprise");
    assert.ok(client);
    const template = issuerTemplate("enterprise", portsFrom(system.base).publisher);
    return { ...client, issuer: template.replace("{tenantid}", client.tenant) };
  }

  async function checkToken(token: string): Promise<void> {
    const { issuer, audience } = demo();
    const keys = createRemoteJWKSet(new URL(`${issuer}/keys`));
    const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt" });
    assert.equal(payload["scope"], "orders.read");
  }

  for (const [name, example] of [
    ["Go: x/oauth2 and go-oidc", go],
    ["Java: Spring Security", java],
  ] as const) {
    it(
      `${name}: a token by the defaults, and none for a wrong secret`,
      skipOf(example),
      async () => {
        assert.ok("run" in example);
        const { issuer, client, secret, audience } = demo();
        const env = { ISSUER: issuer, CLIENT_ID: client, AUDIENCE: audience };
        await checkToken(await example.run({ ...env, CLIENT_SECRET: secret }));
        await assert.rejects(
          example.run({ ...env, CLIENT_SECRET: `${secret}x` }),
          /invalid_client/,
        );
      },
    );
  }

  it(
    "Python: Authlib with its own life of an assertion, once the audience is the issuer",
    skipOf(python),
    async () => {
      assert.ok("getToken" in python);
      const { issuer, tenant, audience } = demo();
      const env = { ISSUER: issuer };
      await python.makeKey(env);
      const add = (...args: readonly string[]) =>
        system.redoubt(["clients", "add", "--tenant", tenant, "--client", "robot", ...args]);
      const rights = ["--jwks", python.jwks, "--audience", audience, "--scope", "orders.read"];
      const added = await add(...rights);
      assert.equal(added.code, 0, added.stderr);
      await checkToken(await python.getToken(env));
      await checkToken(await python.getToken(env));

      const hint = /invalid_client.*aud of a client assertion must be the issuer identifier/;
      await assert.rejects(python.getTokenByDefault(env), hint);
      assert.equal((await add("--unsafe-token-endpoint-audience")).code, 0);
      await checkToken(await python.getTokenByDefault(env));
      const shown = await system.redoubt(["clients", "show", "robot", "--tenant", tenant]);
      assert.match(shown.stdout, / unsafe-token-endpoint-audience /);
      assert.equal((await add("--no-unsafe-token-endpoint-audience")).code, 0);
      await assert.rejects(python.getTokenByDefault(env), hint);
    },
  );
});

function skipOf(example: object): { readonly skip: string | false } {
  return { skip: "why" in example ? String(example.why) : false };
}
