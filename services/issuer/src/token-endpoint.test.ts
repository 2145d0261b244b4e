import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import { until } from "@redoubt/testkit";
import { ServiceError } from "@redoubt/base";
import { readMetrics } from "@redoubt/wire";
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";
import {
  allowInsecureRequests,
  clientCredentialsGrant,
  ClientSecretBasic,
  Configuration,
  PrivateKeyJwt,
} from "openid-client";
import { OAuthError, type IssuerErrorCode } from "./errors.ts";
import { issuerEvents } from "./events.ts";
import { QueueFull } from "./issue-batches.ts";
import { SignerPort } from "./signer-port.ts";
import {
  basic,
  CONFIG,
  ISSUER,
  ofKey,
  ofSecret,
  OTHER_TENANT,
  post,
  SECRET,
  SUSPENDED_TENANT,
  System,
  TENANT,
} from "./testing/system.ts";

const GRANT = { grant_type: "client_credentials" };
const AUTH = { authorization: basic("app", SECRET) };

async function ready(options?: Parameters<typeof System.open>[0]): Promise<System> {
  const system = await System.open(options);
  await system.putTenant();
  await system.putClient();
  return system;
}

/** What the log says of each refusal; the client is told less. */
function refusalCodes(system: System): readonly unknown[] {
  return system.events
    .filter(({ name }) => name === "token_refused")
    .map(({ fields }) => ("code" in fields ? fields.code : undefined));
}

/** Why the issuer was not ready, each time that changed; undefined when it was. */
function signerReasons(system: System): readonly unknown[] {
  return system.events
    .filter(({ name }) => name === "signer_state")
    .map(({ fields }) => ("reason" in fields ? fields.reason : undefined));
}

function as(client: string) {
  return { authorization: basic(client, SECRET) };
}

describe("the token that a client gets", () => {
  test("openid-client with client_secret_basic: the secret may hold any character", async () => {
    await using system = await ready();
    const configuration = new Configuration(
      { issuer: ISSUER, token_endpoint: system.tokenUrl() },
      "app",
      {},
      ClientSecretBasic(SECRET),
    );
    allowInsecureRequests(configuration);
    const answer = await clientCredentialsGrant(configuration, {
      scope: "read",
      resource: "api://orders",
    });
    assert.equal(answer.scope, "read");
    assert.equal(answer.expires_in, 3600);
    const keys = createLocalJWKSet({ keys: [system.signer.publicJwk] });
    const { payload } = await jwtVerify(answer.access_token, keys, {
      typ: "at+jwt",
      issuer: ISSUER,
      audience: "api://orders",
    });
    assert.equal(payload.sub, "app");
    assert.equal(payload["client_id"], "app");
  });

  test("openid-client with its default, client_secret_post: the secret may hold any character", async () => {
    await using system = await ready();
    const server = { issuer: ISSUER, token_endpoint: system.tokenUrl() };
    const configuration = new Configuration(server, "app", SECRET);
    allowInsecureRequests(configuration);
    const answer = await clientCredentialsGrant(configuration, { scope: "read" });
    assert.equal(answer.scope, "read");
    assert.equal(answer.expires_in, 3600);
  });

  test("a secret in the URL is none (RFC 6749 §2.3.1)", async () => {
    await using system = await ready();
    const query = new URLSearchParams({ client_id: "app", client_secret: SECRET }).toString();
    assert.equal((await post(`${system.tokenUrl()}?${query}`, GRANT)).status, 401);
    assert.equal(refusalCodes(system).at(-1), "ERR_ISSUER_AUTH_MISSING");
  });

  test("openid-client with private_key_jwt, for each algorithm", async () => {
    await using system = await ready();
    for (const alg of ["ES256", "RS256", "PS256", "Ed25519"]) {
      const { publicKey, privateKey } = await generateKeyPair(alg);
      const jwk = { ...(await exportJWK(publicKey)), alg, kid: `key-${alg}`, use: "sig" };
      await system.putClient({ client: `jwt-${alg}` }, ofKey(JSON.parse(JSON.stringify(jwk))));
      const configuration = new Configuration(
        { issuer: ISSUER, token_endpoint: system.tokenUrl() },
        `jwt-${alg}`,
        {},
        PrivateKeyJwt({ key: privateKey, kid: `key-${alg}` }),
      );
      allowInsecureRequests(configuration);
      const answer = await clientCredentialsGrant(configuration);
      assert.equal(answer.scope, "read write");
    }
  });

  test("the signer is asked for intent only: no reserved member, the caller's own handle", async () => {
    await using system = await ready();
    const { status, headers, body } = await post(system.tokenUrl(), GRANT, AUTH);
    assert.equal(status, 200);
    assert.equal(headers.get("cache-control"), "no-store");
    assert.deepEqual(body, {
      access_token: system.signer.tokens[0],
      token_type: "Bearer",
      expires_in: 3600,
      scope: "read write",
    });
    assert.deepEqual(system.signer.asked, [
      {
        handle: { realm: "enterprise", tenant: TENANT, class: "at" },
        client: "app",
        sub: "app",
        audience: "api://orders",
        scope: "read write",
        ttl: 3600,
      },
    ]);
  });

  test("a client without scopes gets none; unknown parameters are ignored (RFC 6749 §3.2)", async () => {
    await using system = await ready();
    await system.putClient({ scopes: [] });
    const { body } = await post(
      system.tokenUrl(),
      { ...GRANT, audience: "x", client_id: "app" },
      AUTH,
    );
    assert.deepEqual(Object.keys(body), ["access_token", "token_type", "expires_in"]);
  });

  test("the consumer realm has one tenant, at a path of its own", async () => {
    const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
    const config = {
      ...CONFIG,
      realm: "consumer",
      tenant,
      issuer: "https://issuer.example/consumer/v2.0",
      tokenEndpoint: "https://issuer.example/consumer/oauth2/v2.0/token",
    };
    await using system = await ready({ config });
    assert.match(system.tokenUrl(), /\/consumer\/oauth2\/v2\.0\/token$/);
    assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 200);
    assert.deepEqual(system.signer.asked[0]?.["handle"], {
      realm: "consumer",
      tenant,
      class: "at",
    });
    const byTenant = await post(`${system.origin}/${tenant}/oauth2/v2.0/token`, GRANT, AUTH);
    assert.equal(byTenant.status, 404);
  });
});

describe("RFC 6749 §5.2, RFC 8707: the error matrix", () => {
  test("each refusal has its status and error, and nothing reaches the signer", async () => {
    await using system = await ready();
    await system.putClient({ client: "two", audiences: ["api://orders", "api://stock"] });
    await system.putClient({ client: "none", audiences: [] });
    await system.putClient({ client: "off", status: "disabled" });
    await system.putTenant(SUSPENDED_TENANT, { status: "suspended" });
    await system.putClient({ tenant: SUSPENDED_TENANT });
    const jwt = { client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" };
    type Case = readonly [
      name: string,
      status: number,
      error: string,
      code: IssuerErrorCode,
      form: Readonly<Record<string, string>> | string,
      headers?: Readonly<Record<string, string>>,
    ];
    const cases: readonly Case[] = [
      ["no grant type", 400, "invalid_request", "ERR_ISSUER_GRANT", "", AUTH],
      ["empty grant type", 400, "invalid_request", "ERR_ISSUER_GRANT", "grant_type=", AUTH],
      [
        "another grant",
        400,
        "unsupported_grant_type",
        "ERR_ISSUER_GRANT",
        { grant_type: "password" },
        AUTH,
      ],
      [
        "scope not registered",
        400,
        "invalid_scope",
        "ERR_ISSUER_SCOPE",
        { ...GRANT, scope: "read admin" },
        AUTH,
      ],
      [
        "scope with two spaces",
        400,
        "invalid_scope",
        "ERR_ISSUER_SCOPE",
        { ...GRANT, scope: "read  write" },
        AUTH,
      ],
      [
        "scope with a quote",
        400,
        "invalid_scope",
        "ERR_ISSUER_SCOPE",
        { ...GRANT, scope: 'read"' },
        AUTH,
      ],
      [
        "scope too long",
        400,
        "invalid_scope",
        "ERR_ISSUER_SCOPE",
        { ...GRANT, scope: "read ".repeat(300).trim() },
        AUTH,
      ],
      [
        "resource not registered",
        400,
        "invalid_target",
        "ERR_ISSUER_RESOURCE",
        { ...GRANT, resource: "api://stock" },
        AUTH,
      ],
      [
        "resource missing, two audiences",
        400,
        "invalid_target",
        "ERR_ISSUER_RESOURCE",
        GRANT,
        as("two"),
      ],
      ["no audience at all", 400, "invalid_target", "ERR_ISSUER_RESOURCE", GRANT, as("none")],
      ["disabled client", 400, "unauthorized_client", "ERR_ISSUER_CLIENT_STATUS", GRANT, as("off")],
      ["no authentication", 401, "invalid_client", "ERR_ISSUER_AUTH_MISSING", GRANT],
      [
        "client_id alone",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_MISSING",
        { ...GRANT, client_id: "app" },
      ],
      [
        "client_secret_post, wrong secret",
        401,
        "invalid_client",
        "ERR_ISSUER_SECRET",
        { ...GRANT, client_id: "app", client_secret: `${SECRET}x` },
      ],
      [
        "client_secret_post, unknown client",
        401,
        "invalid_client",
        "ERR_ISSUER_SECRET",
        { ...GRANT, client_id: "nobody", client_secret: SECRET },
      ],
      [
        "client_secret_post, nobody's secret",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_MALFORMED",
        { ...GRANT, client_secret: SECRET },
      ],
      [
        "client_secret_post, empty secret",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_MISSING",
        { ...GRANT, client_id: "app", client_secret: "" },
      ],
      [
        "client_secret_post, two secrets",
        400,
        "invalid_request",
        "ERR_ISSUER_FORM",
        `grant_type=client_credentials&client_id=app&client_secret=a&client_secret=b`,
      ],
      [
        "wrong secret",
        401,
        "invalid_client",
        "ERR_ISSUER_SECRET",
        GRANT,
        { authorization: basic("app", "x") },
      ],
      [
        "unknown client",
        401,
        "invalid_client",
        "ERR_ISSUER_SECRET",
        GRANT,
        { authorization: basic("nobody", SECRET) },
      ],
      [
        "another scheme",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_METHOD",
        GRANT,
        { authorization: "Bearer abc" },
      ],
      [
        "malformed Basic",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_MALFORMED",
        GRANT,
        { authorization: "Basic ???" },
      ],
      [
        "Basic with a stray percent",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_MALFORMED",
        GRANT,
        { authorization: `Basic ${btoa("app:%")}` },
      ],
      [
        "Basic and post",
        400,
        "invalid_request",
        "ERR_ISSUER_AUTH_METHODS",
        { ...GRANT, client_secret: SECRET },
        AUTH,
      ],
      [
        "Basic and assertion",
        400,
        "invalid_request",
        "ERR_ISSUER_AUTH_METHODS",
        { ...GRANT, ...jwt, client_assertion: "a.b.c" },
        AUTH,
      ],
      [
        "post and assertion",
        400,
        "invalid_request",
        "ERR_ISSUER_AUTH_METHODS",
        { ...GRANT, ...jwt, client_assertion: "a.b.c", client_id: "app", client_secret: SECRET },
      ],
      [
        "client_id of another",
        400,
        "invalid_request",
        "ERR_ISSUER_CLIENT_ID",
        { ...GRANT, client_id: "two" },
        AUTH,
      ],
      [
        "assertion without type",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_METHOD",
        { ...GRANT, client_assertion: "a.b.c" },
      ],
      [
        "type without assertion",
        401,
        "invalid_client",
        "ERR_ISSUER_AUTH_METHOD",
        { ...GRANT, ...jwt },
      ],
      [
        "malformed assertion",
        401,
        "invalid_client",
        "ERR_ISSUER_ASSERTION_FORM",
        { ...GRANT, ...jwt, client_assertion: "a.b.c" },
      ],
      [
        "two scopes",
        400,
        "invalid_request",
        "ERR_ISSUER_FORM",
        "grant_type=client_credentials&scope=read&scope=write",
        AUTH,
      ],
      [
        "two resources",
        400,
        "invalid_request",
        "ERR_ISSUER_FORM",
        "grant_type=client_credentials&resource=a&resource=b",
        AUTH,
      ],
      [
        "not a form",
        400,
        "invalid_request",
        "ERR_ISSUER_FORM",
        GRANT,
        { ...AUTH, "content-type": "application/json" },
      ],
      ["bad UTF-8", 400, "invalid_request", "ERR_ISSUER_FORM", "grant_type=%ff", AUTH],
    ];
    for (const [name, status, error, code, form, headers] of cases) {
      const answer = await post(system.tokenUrl(), form, headers);
      assert.equal(answer.status, status, name);
      assert.equal(answer.body["error"], error, name);
      assert.equal(refusalCodes(system).at(-1), code, name);
      assert.equal(answer.headers.get("cache-control"), "no-store", name);
      const isChallenged = answer.headers.has("www-authenticate");
      const usedForm =
        typeof form === "object" &&
        (("client_secret" in form && form["client_secret"] !== "") ||
          "client_assertion" in form ||
          "client_assertion_type" in form);
      assert.equal(isChallenged, status === 401 && !usedForm, name);
    }
    const suspended = await post(system.tokenUrl(SUSPENDED_TENANT), GRANT, AUTH);
    assert.equal(suspended.body["error"], "unauthorized_client");
    assert.deepEqual(system.signer.asked, []);
    assert.equal(refusalCodes(system).at(-1), "ERR_ISSUER_CLIENT_STATUS");
    assert.equal(refusalCodes(system).length, cases.length + 1);
  });

  test("the token endpoint may lie below a path, which is part of it", async () => {
    const tokenEndpoint = "https://issuer.example/sso/{tenantid}/oauth2/v2.0/token";
    await using system = await ready({ config: { ...CONFIG, tokenEndpoint } });
    const path = new URL(system.tokenUrl()).pathname;
    assert.equal((await post(`${system.origin}/sso${path}`, GRANT, AUTH)).status, 200);
    for (const other of [
      path,
      `/sso/sso${path}`,
      `/SSO${path}`,
      "/sso//oauth2/v2.0/token",
      "/sso/token",
    ])
      assert.equal((await post(system.origin + other, GRANT, AUTH)).status, 404, other);
  });

  test("THREAT-34: a client of one tenant is nobody in another, and paths are exact", async () => {
    await using system = await ready();
    const other = await post(system.tokenUrl("22222222-2222-4222-8222-222222222222"), GRANT, AUTH);
    assert.deepEqual([other.status, other.body["error"]], [401, "invalid_client"]);
    for (const path of [
      `/${TENANT}/oauth2/v2.0/token/`,
      `/${TENANT}/oauth2/v2.0/Token`,
      `/${TENANT.replaceAll("1", "A")}/oauth2/v2.0/token`,
      `//${TENANT}/oauth2/v2.0/token`,
      "/enterprise/oauth2/v2.0/token",
      "/",
    ]) {
      const answer = await post(system.origin + path, GRANT, AUTH);
      assert.deepEqual([answer.status, answer.body["code"]], [404, "ERR_HTTP_NOT_FOUND"], path);
    }
    const get = await fetch(system.tokenUrl());
    assert.equal(get.status, 405);
    assert.equal(get.headers.get("allow"), "POST");
    assert.match(await get.text(), /"code":"ERR_HTTP_METHOD"/);
  });

  test("refusals look alike and quote nothing", async () => {
    await using system = await ready();
    const wrong = await post(system.tokenUrl(), GRANT, { authorization: basic("app", "x") });
    const unknown = await post(system.tokenUrl(), GRANT, { authorization: basic("evil<x>", "x") });
    assert.deepEqual(wrong.body, unknown.body);
    assert.doesNotMatch(JSON.stringify(system.events), /evil|every%kind/);
  });
});

describe("THREAT-26: shapes of a hostile client", () => {
  test("a huge body and a huge header are cut off with their own status", async () => {
    await using system = await ready();
    const body = await post(system.tokenUrl(), `grant_type=${"x".repeat(20_000)}`, AUTH);
    assert.deepEqual([body.status, body.body["code"]], [413, "ERR_HTTP_BODY_TOO_LARGE"]);
    const header = await fetch(system.tokenUrl(), { headers: { "x-long": "x".repeat(10_000) } });
    assert.equal(header.status, 431);
    const many = await post(system.tokenUrl(), "a=1&".repeat(100) + "b=1", AUTH);
    assert.equal(many.body["error"], "invalid_request");
    assert.deepEqual(refusalCodes(system), ["ERR_ISSUER_FORM"]);
    assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 200);
  });
});

function refuse(unsigned: unknown): never {
  const fields = { retryAfterSeconds: 7, committed: true, unsigned };
  throw new ServiceError("ERR_KEY_BUSY", "Custody did not sign", { fields });
}

describe("when the signer refuses or is not there", () => {
  const refusals: readonly (readonly [code: string, status: number, error: string])[] = [
    ["ERR_SIGNER_BUDGET", 429, "temporarily_unavailable"],
    ["ERR_SIGNER_NO_KEY", 503, "temporarily_unavailable"],
    ["ERR_SIGNER_LOG", 503, "temporarily_unavailable"],
    ["ERR_SIGNER_UNWITNESSED", 503, "temporarily_unavailable"],
    ["ERR_SIGNER_CLOCK", 503, "temporarily_unavailable"],
    ["ERR_INTERNAL", 503, "temporarily_unavailable"],
    ["ERR_SIGNER_HANDLE", 400, "unauthorized_client"],
    ["ERR_SIGNER_CLIENT", 400, "unauthorized_client"],
    ["ERR_SIGNER_AUDIENCE", 400, "invalid_target"],
    ["ERR_SIGNER_SCOPE", 400, "invalid_scope"],
    ["ERR_SIGNER_RESERVED", 500, "server_error"],
    ["ERR_SIGNER_TTL", 500, "server_error"],
    ["ERR_REQUEST_MEMBER", 500, "server_error"],
  ];

  test("each refusal has its OAuth answer, and Retry-After where waiting helps", async () => {
    await using system = await ready();
    for (const [code, status, error] of refusals) {
      system.signer.issue = () => {
        throw new ServiceError(code, "secret reason", { fields: { retryAfterSeconds: 7 } });
      };
      const answer = await post(system.tokenUrl(), GRANT, AUTH);
      assert.deepEqual([answer.status, answer.body["error"]], [status, error], code);
      const isBudget = code === "ERR_SIGNER_BUDGET";
      const own = isBudget ? "ERR_ISSUER_BUDGET" : "ERR_ISSUER_SIGNER_REFUSED";
      assert.equal(refusalCodes(system).at(-1), own, code);
      assert.equal(
        answer.headers.get("retry-after"),
        status === 429 || status === 503 ? "7" : null,
      );
      assert.doesNotMatch(JSON.stringify(answer.body), /secret reason/);
    }
  });

  test("THREAT-36: whose own queue is full gets 429, and nothing is lost", async () => {
    const lost: number[] = [];
    const port = new SignerPort({
      client: { request: () => Promise.reject(new Error("not asked")) },
      batches: {
        issue: () => Promise.reject(new QueueFull("Too many requests wait")),
        giveUp: () => undefined,
      },
      realm: "enterprise",
      ttlSeconds: 60,
      events: issuerEvents(() => undefined),
      deliveries: { add: () => undefined, lost: (count) => lost.push(count) },
    });
    const intent = { tenant: TENANT, client: "app", audience: "a", scope: undefined };
    const error: unknown = await port.issue(intent).catch((reason: unknown) => reason);
    assert.ok(error instanceof OAuthError);
    assert.equal(error.code, "ERR_ISSUER_QUEUE");
    const { status, headers, body } = error.answer();
    assert.deepEqual([status, headers.slice(-2)], [429, ["retry-after", "1"]]);
    assert.match(String(body), /^\{"error":"temporarily_unavailable",/);
    assert.deepEqual([lost, port.underWay], [[], 0]);
  });

  test("an answer that is no token is refused, and counted as lost", async () => {
    await using system = await ready();
    const wrong = [{ token: "a.b" }, { expiresIn: "1" }, { token: "a.b.c d" }];
    for (const change of [undefined, ...wrong]) {
      system.signer.issue = (request) =>
        change ? { ...system.signer.sign(request), ...change } : {};
      assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 503);
      assert.equal(refusalCodes(system).at(-1), "ERR_ISSUER_SIGNER_ANSWER");
    }
    await until(() => system.monitor.reports.reduce((sum, { lost }) => sum + lost, 0) === 4);
    assert.deepEqual(system.monitor.digests, []);
  });

  test("THREAT-28: a token for somebody else is no answer: refused, and not reported as delivered", async () => {
    await using system = await ready();
    const forged: readonly object[] = [
      { sub: "an-administrator" },
      { audience: "api://stock" },
      { handle: { realm: "enterprise", tenant: OTHER_TENANT, class: "at" } },
      { client: "another" },
      { scope: "write" },
    ];
    for (const change of forged) {
      system.signer.issue = (head) => system.signer.sign({ ...head, ...change });
      const answer = await post(system.tokenUrl(), { ...GRANT, scope: "read" }, AUTH);
      assert.equal(answer.status, 503);
      assert.equal(answer.body["access_token"], undefined);
      assert.equal(refusalCodes(system).at(-1), "ERR_ISSUER_SIGNER_ANSWER");
    }
    system.signer.issue = (head) => system.signer.sign(head);
    assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 200);
    await until(() => system.monitor.digests.length === 1);
    // Nor counted as lost: a number would excuse an entry of the log that nobody asked for.
    assert.equal(
      system.monitor.reports.reduce((sum, { lost }) => sum + lost, 0),
      0,
    );
  });

  test("requests that come together each get their own token", async () => {
    await using system = await ready();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(system.tokenUrl(), GRANT, AUTH)),
    );
    const tokens = new Set(answers.map(({ body }) => body["access_token"]));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(tokens.size, 20);
    await until(() => system.monitor.digests.length === 20);
  });

  test("THREAT-28: what was logged and not signed is reported by its digest, if it is what was asked for", async () => {
    await using system = await ready();
    let unsigned = "";
    system.signer.issue = (head) => {
      system.signer.sign(head);
      const token = system.signer.tokens.at(-1) ?? "";
      unsigned = token.slice(0, token.lastIndexOf("."));
      return refuse(unsigned);
    };
    const answer = await post(system.tokenUrl(), GRANT, AUTH);
    assert.deepEqual(
      [answer.status, answer.body["error"], answer.headers.get("retry-after")],
      [503, "temporarily_unavailable", "7"],
    );
    await until(() => system.monitor.digests.length === 1);
    assert.deepEqual(system.monitor.digests, [hash("sha256", unsigned, "base64url")]);

    // A forgery that a signer logged is not explained away by refusing somebody.
    for (const other of ["x", 7, undefined, unsigned.replace(".", ".A")]) {
      system.signer.issue = () => refuse(other);
      assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 503);
    }
    system.signer.issue = (head) => system.signer.sign(head);
    assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 200);
    await until(() => system.monitor.digests.length === 2);
    assert.equal(
      system.monitor.reports.reduce((sum, { lost }) => sum + lost, 0),
      0,
    );
  });

  test("a signer that is gone is 503 with Retry-After, health says so, and it comes back by itself", async () => {
    await using system = await ready();
    assert.equal((await fetch(`${system.origin}/health`)).status, 200);
    await system.signer.stop();
    const [token] = await Promise.all([
      post(system.tokenUrl(), GRANT, AUTH),
      until(() => system.names.filter((name) => name === "signer_state").length === 2),
    ]);
    assert.equal(token.status, 503);
    assert.equal(token.headers.get("retry-after"), "2");
    assert.deepEqual(refusalCodes(system), ["ERR_ISSUER_SIGNER_DOWN"]);
    assert.equal((await fetch(`${system.origin}/health`)).status, 503);
    await system.signer.start();
    await until(() => {
      const last = system.events.findLast(({ name }) => name === "signer_state");
      return last !== undefined && "ready" in last.fields && last.fields.ready === true;
    });
    assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 200);
  });

  test("requests under way when the connection breaks are reported as lost, exactly those", async () => {
    await using system = await ready();
    system.signer.issue = () => new Promise(() => undefined);
    const pending = [];
    // One after the other: each is a call of its own.
    for (const count of [1, 2, 3]) {
      pending.push(post(system.tokenUrl(), GRANT, AUTH));
      await until(() => system.signer.asked.length === count);
    }
    await system.signer.stop();
    for (const { status } of await Promise.all(pending)) assert.equal(status, 503);
    assert.deepEqual(refusalCodes(system), Array(3).fill("ERR_ISSUER_SIGNER_DOWN"));
    await until(() => system.monitor.reports.some(({ lost }) => lost === 3));
  });

  test("an answer that does not come in time is 503 and lost", async () => {
    await using system = await ready({ signerTimeoutMs: 20 });
    system.signer.issue = () => new Promise(() => undefined);
    assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 503);
    assert.deepEqual(refusalCodes(system), ["ERR_ISSUER_SIGNER_DOWN"]);
    await until(() => system.monitor.reports.some(({ lost }) => lost === 1));
  });

  test("the issuer is not ready for a signer of another realm, a shorter lifetime, or one that is not ready", async () => {
    const mistakes: readonly (readonly [change: object, reason: string])[] = [
      [{ realm: "consumer" }, "ERR_ISSUER_SIGNER_REALM"],
      [{ maxTtlSeconds: 3599 }, "ERR_ISSUER_SIGNER_TTL"],
      [{ ready: false }, "ERR_ISSUER_SIGNER_NOT_READY"],
    ];
    for (const [change, reason] of mistakes) {
      await using system = new System();
      await system.ledger.start();
      const honest = system.signer.metadata;
      system.signer.metadata = { ...system.signer.metadata, ...change };
      await system.signer.start();
      await system.monitor.start();
      await system.start();
      await until(() => system.names.includes("signer_state"));
      assert.deepEqual(signerReasons(system), [reason]);
      assert.equal((await fetch(`${system.origin}/health`)).status, 503);
      system.signer.metadata = honest;
      await system.issuer.ready;
      assert.deepEqual(signerReasons(system), [reason, undefined]);
      assert.equal((await fetch(`${system.origin}/health`)).status, 200);
    }
  });
});

describe("THREAT-28: what was received is reported", () => {
  test("the digest is of the signing input, once for each token", async () => {
    await using system = await ready();
    for (let i = 0; i < 3; i++) await post(system.tokenUrl(), GRANT, AUTH);
    await until(() => system.monitor.digests.length === 3);
    assert.deepEqual(
      [...system.monitor.digests],
      system.signer.tokens.map((t) => hash("sha256", t.slice(0, t.lastIndexOf(".")), "base64url")),
    );
  });

  test("a monitor that was away gets everything when it is back, in order and once", async () => {
    await using system = await ready();
    await until(() => system.monitor.reports.length === 1);
    await system.monitor.stop();
    for (let i = 0; i < 5; i++)
      assert.equal((await post(system.tokenUrl(), GRANT, AUTH)).status, 200);
    await system.monitor.start();
    await until(() => system.monitor.digests.length === 5);
    assert.equal(new Set(system.monitor.digests).size, 5);
    assert.deepEqual(
      system.monitor.reports.map(({ seq }) => seq),
      system.monitor.reports.map((_, i) => i + 1),
    );
  });

  test("a clean stop says so in the last report; the next process is another session", async () => {
    await using system = await ready();
    await post(system.tokenUrl(), GRANT, AUTH);
    await system.stop();
    const { reports } = system.monitor;
    assert.deepEqual(
      reports.map(({ closing }) => closing),
      [...reports.slice(1).map(() => false), true],
    );
    assert.equal(system.monitor.digests.length, 1);
    await system.start();
    await until(() => reports.at(-1)?.closing === false);
    assert.notEqual(reports.at(-1)?.session, reports[0]?.session);
    assert.equal(reports.at(-1)?.seq, 1);
  });
});

describe("the operator's socket", () => {
  test("tells metrics: tokens, refusals by code, and how long the tokens took", async () => {
    await using system = await ready();
    await post(system.tokenUrl(), GRANT, AUTH);
    await post(system.tokenUrl(), GRANT, AUTH);
    await post(system.tokenUrl(), { ...GRANT, client_id: "two" }, AUTH);
    await post(system.tokenUrl(), { ...GRANT, grant_type: "password" }, AUTH);
    const samples = readMetrics("issuer", JSON.stringify(await system.operate({ op: "metrics" })));
    const found = Map.groupBy(samples, ({ name }) => name);
    assert.equal(found.get("redoubt_tokens_issued_total")?.[0]?.value, 2);
    assert.deepEqual(
      found.get("redoubt_tokens_refused_total")?.map(({ label, value }) => [label, value]),
      [
        ["ERR_ISSUER_CLIENT_ID", 1],
        ["ERR_ISSUER_GRANT", 1],
      ],
    );
    const [took] = found.get("redoubt_token_issuance_seconds") ?? [];
    assert.equal(
      took?.counts?.reduce((sum, count) => sum + count, 0),
      2,
    );
    assert.ok(took !== undefined && took.value > 0 && took.value < 60);
    assert.deepEqual(await system.operate({ op: "health" }), { ready: true });
  });

  test("tells the status, and the credentials of its own realm in pages", async () => {
    await using system = await ready();
    await system.putClient({ client: "none" }, null);
    const many = Array.from({ length: 8 }, (_, i) => ofSecret(`${i}`).secrets).flat();
    const names = Array.from({ length: 120 }, (_, i) => `client-${i}`);
    for (const client of names) system.sayClient({ client }, { secrets: many, keys: [] });
    await system.read();
    await post(system.tokenUrl(), GRANT, AUTH);
    const status = await system.operate({ op: "status" });
    assert.equal(status["ready"], true);
    assert.deepEqual(status["tokens"], { issued: 1, refused: 0, underWay: 0 });
    assert.deepEqual([status["tenants"], status["clients"]], [1, 122]);
    assert.equal(status["registrySize"], system.registry.size);
    const seen: unknown[] = [];
    let pages = 0;
    for (let from: unknown = 0; from !== undefined; pages += 1) {
      const page = await system.operate({ op: "credentials", from });
      assert.ok(Array.isArray(page["items"]));
      seen.push(...page["items"].map(({ index }: { index: number }) => index));
      from = page["next"];
    }
    assert.ok(pages > 1);
    const own = system.registry.items.flatMap(({ credentials }, i) => (credentials ? [i] : []));
    assert.deepEqual(seen, own);
    assert.equal(own.length, 121);
  });

  test("refuses what is malformed or unknown", async () => {
    await using system = await ready();
    for (const op of ["tokens.make", "tenants.put", "clients.put"])
      await assert.rejects(system.operate({ op }), { code: "ERR_REQUEST_OP" });
    await assert.rejects(system.operate({ op: "status", x: 1 }), { code: "ERR_REQUEST_MEMBER" });
    await assert.rejects(system.operate({ op: "credentials", from: -1 }), {
      code: "ERR_REQUEST_MEMBER",
    });
  });
});
