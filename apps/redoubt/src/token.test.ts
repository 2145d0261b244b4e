import assert from "node:assert/strict";
import { test } from "node:test";
import type { Demo } from "./demo.ts";
import { CONSUMER_TENANT } from "./layout.ts";
import { withHttp, type TestRequest } from "./testing/http.ts";
import { chooseCredential, requestToken } from "./token.ts";
import { DEMO, TENANT } from "./testing/demo.ts";

const OPTION = { code: "ERR_OPTION" } as const;

test("without a name it is the realm's demo client, of the enterprise realm by default", () => {
  assert.equal(chooseCredential({}, () => DEMO).client, "demo-enterprise");
  assert.equal(chooseCredential({ realm: "consumer" }, () => DEMO).client, "demo-consumer");
  assert.equal(chooseCredential({ tenant: TENANT }, () => DEMO).client, "demo-enterprise");
  assert.throws(() => chooseCredential({ tenant: CONSUMER_TENANT }, () => DEMO), OPTION);
  assert.throws(() => chooseCredential({}, () => ({ clients: [], reporters: [] })), OPTION);
});

function demo(): Demo {
  return assert.fail("read");
}

test("a named client needs a tenant and a secret, and the demo secrets are not even read", () => {
  const named = { client: "billing", tenant: TENANT, secret: "s" };
  assert.deepEqual(chooseCredential(named, demo), { realm: "enterprise", ...named });
  assert.equal(
    chooseCredential({ realm: "consumer", client: "c", secret: "s" }, demo).tenant,
    CONSUMER_TENANT,
  );
  for (const [missing, pattern] of [
    [{ client: "billing", secret: "s" }, /needs --tenant/],
    [{ client: "billing", tenant: TENANT }, /needs --secret/],
    [{ client: "billing", tenant: TENANT, secret: "" }, /needs --secret/],
    [{ client: "billing", tenant: "contoso", secret: "s" }, /lower-case UUID/],
  ] as const)
    assert.throws(() => chooseCredential(missing, demo), { ...OPTION, message: pattern });
});

const CREDENTIAL = {
  realm: "enterprise",
  tenant: TENANT,
  client: "a:b c",
  secret: "p%+ä",
} as const;

test("RFC 6749 §2.3.1: name and secret are form-encoded; scope and resource go along when given", async () => {
  const seen: TestRequest[] = [];
  const body = JSON.stringify({ access_token: "a.b.c", token_type: "Bearer", expires_in: 3600 });
  await withHttp(
    (request) => {
      seen.push(request);
      return { status: 200, body };
    },
    async (base) => {
      const first = await requestToken(base, CREDENTIAL, {});
      assert.deepEqual(first, { access_token: "a.b.c", token_type: "Bearer", expires_in: 3600 });
      await requestToken(base, CREDENTIAL, { scope: "r w", resource: "api://orders" });
    },
  );
  const [first, second] = seen;
  const basic = Buffer.from(first?.headers.authorization?.slice(6) ?? "", "base64").toString(
    "latin1",
  );
  assert.equal(basic, "a%3Ab+c:p%25%2B%C3%A4");
  assert.equal(first?.body, "grant_type=client_credentials");
  const form = new URLSearchParams(second?.body);
  assert.equal(form.get("scope"), "r w");
  assert.equal(form.get("resource"), "api://orders");
});

const REFUSALS = [
  [
    "ERR_TOKEN_REFUSED",
    401,
    '{"error":"invalid_client","error_description":"No such client"}',
    /invalid_client: No such client/,
  ],
  ["ERR_TOKEN_REFUSED", 400, '{"error":"invalid_scope"}', /^Issuer refused: invalid_scope$/],
  ["ERR_TOKEN_REFUSED", 503, "{}", /status 503/],
  ["ERR_TOKEN_ANSWER", 200, "<html>", /not JSON/],
  ["ERR_TOKEN_ANSWER", 502, "[]", /not JSON/],
  ["ERR_REQUEST_MEMBER", 200, "{}", /access_token/],
  [
    "ERR_REQUEST_MEMBER",
    200,
    '{"access_token":"a b","token_type":"Bearer","expires_in":1}',
    /access_token/,
  ],
  [
    "ERR_REQUEST_MEMBER",
    200,
    '{"access_token":"a.b.c","token_type":"Bearer","expires_in":"1"}',
    /expires_in/,
  ],
] as const;

for (const [code, status, body, pattern] of REFUSALS)
  test(`an answer ${status} ${body} is one clear error`, async () => {
    await withHttp(
      () => ({ status, body }),
      async (base) => {
        await assert.rejects(requestToken(base, CREDENTIAL, {}), (error: unknown) => {
          assert.ok(error instanceof Error && "code" in error);
          assert.equal(error.code, code);
          assert.match(error.message, pattern);
          assert.doesNotMatch(error.message, /p%\+/);
          return true;
        });
      },
    );
  });
