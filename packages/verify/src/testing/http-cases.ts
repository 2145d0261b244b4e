import { Buffer } from "node:buffer";
import { request as httpRequest } from "node:http";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AuthOptions, RefusalListener } from "../http/auth-options.ts";
import { protectedResourceMetadata } from "../http/resource-metadata.ts";
import { TokenError } from "../token-error.ts";
import type { Verifier } from "../verifier.ts";
import { mint, NOW, type Claims, staticKey, verifierWith } from "./fixture.ts";

/** A server on loopback. */
export interface HttpSite extends AsyncDisposable {
  readonly origin: string;
}

export interface SiteOptions extends Pick<
  AuthOptions,
  "realm" | "resource" | "verifier" | "onRefused"
> {
  readonly allowPreflight: boolean;
}

/**
 * Serves, each behind `authenticate`: `/orders` (any method; the subject), `/scoped` (scopes orders.read and
 * orders.list), `/admin` (role admin), `/keycloak` (role admin of the client orders), `/throws`; and the metadata.
 * A preflight of `/orders` that is let through gets 204. Headers may be 2 MiB long.
 */
export type StartSite = (options: SiteOptions) => Promise<HttpSite>;

export const LONGEST_HEADER = 2_097_152;

export const RESOURCE = protectedResourceMetadata({
  resource: "https://api.example/orders",
  authorizationServers: ["https://id.example/t1"],
  scopes: ["orders.read"],
});

type HeaderList = readonly (readonly [string, string])[];

interface Question {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: HeaderList;
}

interface Expected {
  readonly status: number;
  /** The challenge; `null` for none. */
  readonly challenge?: string | null;
  readonly body?: string;
}

type HttpCase = readonly [name: string, Question, Expected];

const COMMON = `realm="orders", resource_metadata="${RESOURCE.url}"`;
const NO_TOKEN = { status: 401, challenge: `Bearer ${COMMON}` };
const BAD_TOKEN = { status: 401, challenge: `Bearer ${COMMON}, error="invalid_token"` };
const MALFORMED = { status: 400, challenge: `Bearer ${COMMON}, error="invalid_request"` };
const GOOD = { status: 200, challenge: null, body: "user-1" };
const FORBIDDEN = `Bearer ${COMMON}, error="insufficient_scope"`;

function bearer(token: string): HeaderList {
  return [["Authorization", `Bearer ${token}`]];
}

function authorization(value: string): Question {
  return { headers: [["Authorization", value]] };
}

function granting(payload: Claims): HeaderList {
  return bearer(mint({ payload }));
}

function credentialCases(): readonly HttpCase[] {
  const token = mint();
  return [
    ["no token", {}, NO_TOKEN],
    ["good token", { headers: bearer(token) }, GOOD],
    ["good token by POST", { method: "POST", headers: bearer(token) }, GOOD],
    ["good token, with a query", { path: "/orders?page=2", headers: bearer(token) }, GOOD],
    ["scheme in capitals", authorization(`BEARER ${token}`), GOOD],
    ["two spaces after the scheme", authorization(`Bearer  ${token}`), GOOD],
    ["bad signature", { headers: bearer(`${token.slice(0, -8)}AAAAAAAA`) }, BAD_TOKEN],
    ["token of another key", { headers: bearer(mint({ key: "attacker-es256" })) }, BAD_TOKEN],
    ["expired", { headers: granting({ iat: NOW - 3000, exp: NOW - 100 }) }, BAD_TOKEN],
    ["another audience", { headers: granting({ aud: "api://mail" }) }, BAD_TOKEN],
    ["bound to a key (cnf)", { headers: granting({ cnf: { jkt: "x" } }) }, BAD_TOKEN],
    ["no JWT", { headers: bearer("hello") }, BAD_TOKEN],
    ["one megabyte", { headers: bearer("a".repeat(1_000_000)) }, BAD_TOKEN],
    ["longer than any token", { headers: bearer("a".repeat(1_048_600)) }, MALFORMED],
    ["in the query", { path: `/orders?access_token=${token}` }, MALFORMED],
    [
      "in the query, disguised, beside a header",
      { path: `/orders?a=1&access%5Ftoken=${token}`, headers: bearer(token) },
      MALFORMED,
    ],
    ["two headers", { headers: [...bearer(token), ...bearer(token)] }, MALFORMED],
    ["two headers, a bad one first", { headers: [...bearer("x"), ...bearer(token)] }, MALFORMED],
    ["two tokens", authorization(`Bearer ${token}, Bearer ${token}`), MALFORMED],
    ["scheme alone", authorization("Bearer"), MALFORMED],
    ["text behind the token", authorization(`Bearer ${token} x`), MALFORMED],
    ["bytes beyond ASCII", authorization(`Bearer ${token}\u00ff`), MALFORMED],
    ["a scheme beyond ASCII", authorization(`B\u00e9arer ${token}`), MALFORMED],
    ["another scheme", authorization("Basic dTpw"), NO_TOKEN],
    ["DPoP without a context", authorization(`DPoP ${token}`), NO_TOKEN],
  ];
}

function scoped(claims: Claims): Question {
  return { path: "/scoped", headers: granting(claims) };
}

function admin(claims: Claims): Question {
  return { path: "/admin", headers: granting(claims) };
}

function keycloak(client: string): Question {
  const access = { [client]: { roles: ["admin"] } };
  return { path: "/keycloak", headers: granting({ resource_access: access }) };
}

function grantCases(): readonly HttpCase[] {
  const lacking = { status: 403, challenge: `${FORBIDDEN}, scope="orders.read orders.list"` };
  const noRole = { status: 403, challenge: FORBIDDEN };
  return [
    ["scopes", scoped({ scope: "a orders.read orders.list" }), GOOD],
    ["scopes in scp", scoped({ scp: ["orders.read", "orders.list"] }), GOOD],
    ["no scope", scoped({}), lacking],
    ["one scope of two", scoped({ scope: "orders.read" }), lacking],
    ["scopes without a token", { path: "/scoped" }, NO_TOKEN],
    ["scopes as an object", scoped({ scope: { "orders.read": 1 } }), lacking],
    ["role", admin({ roles: ["user", "admin"] }), GOOD],
    ["wrong role", admin({ roles: ["administrator"] }), noRole],
    ["role as a string", admin({ roles: "admin" }), noRole],
    ["Keycloak role", keycloak("orders"), GOOD],
    ["Keycloak role of another client", keycloak("mail"), noRole],
  ];
}

function methodCases(): readonly HttpCase[] {
  const preflight: HeaderList = [
    ["Origin", "https://app.example"],
    ["Access-Control-Request-Method", "GET"],
  ];
  return [
    ["HEAD without a token", { method: "HEAD" }, { ...NO_TOKEN, body: "" }],
    ["HEAD with a token", { method: "HEAD", headers: bearer(mint()) }, { ...GOOD, body: "" }],
    ["preflight", { method: "OPTIONS", headers: preflight }, { status: 204, challenge: null }],
    ["OPTIONS that is no preflight", { method: "OPTIONS" }, NO_TOKEN],
    ["GET dressed as a preflight", { headers: preflight }, NO_TOKEN],
    [
      "metadata",
      { path: RESOURCE.path },
      { status: 200, challenge: null, body: JSON.stringify(RESOURCE.document) },
    ],
    ["HEAD of metadata", { method: "HEAD", path: RESOURCE.path }, { status: 200, body: "" }],
    [
      "a handler that throws",
      { path: "/throws", headers: bearer(mint()) },
      { status: 500, challenge: null },
    ],
    ["a handler that would throw, without a token", { path: "/throws" }, NO_TOKEN],
  ];
}

/** Runs every case against one framework. */
export function describeSite(name: string, start: StartSite): void {
  const key = staticKey("ent-es256");
  const base = { realm: "orders", resource: RESOURCE, allowPreflight: true };

  describe(`@redoubt/verify/${name}`, () => {
    for (const [title, question, expected] of [
      ...credentialCases(),
      ...grantCases(),
      ...methodCases(),
    ])
      it(title, async () => {
        await using site = await start({ ...base, verifier: await verifierWith([key]) });
        await assertAnswer(site, question, expected);
      });

    it("a preflight is refused where the option is not set", async () => {
      await using site = await start({
        ...base,
        allowPreflight: false,
        verifier: await verifierWith([key]),
      });
      const [, question] = methodCases()[2] ?? [];
      await assertAnswer(site, question ?? {}, NO_TOKEN);
    });

    it("503 before the verifier is ready, then 200", async () => {
      const { promise, resolve } = Promise.withResolvers<Verifier>();
      await using site = await start({ ...base, verifier: promise });
      await assertUnavailable(site, mint());
      await assertAnswer(site, {}, NO_TOKEN);
      resolve(await verifierWith([key]));
      await assertAnswer(site, { headers: bearer(mint()) }, GOOD);
    });

    it("503 where the verifier could not be made, and the log has the reason", async () => {
      const reasons: unknown[] = [];
      const onRefused: RefusalListener = (_refusal, reason) => reasons.push(reason);
      const broken = new Error("no keys");
      await using site = await start({ ...base, verifier: Promise.reject(broken), onRefused });
      await assertUnavailable(site, mint());
      assert.deepEqual(reasons, [broken]);
    });

    it("503 for a verifier whose trust data are stale, and for one that is closed", async () => {
      const stale = await verifierWith([key]);
      stale.verifyAsync = () =>
        Promise.reject(new TokenError("ERR_TRUST_STALE", "Trust data is older than allowed"));
      const closed = await verifierWith([key]);
      closed.close();
      for (const verifier of [stale, closed]) {
        await using site = await start({ ...base, verifier });
        await assertUnavailable(site, mint());
      }
    });

    it("an error that is not about the token is the server's", async () => {
      const verifier = await verifierWith([key], { now: () => Number.NaN });
      await using site = await start({ ...base, verifier });
      await assertAnswer(site, { headers: bearer(mint()) }, { status: 500, challenge: null });
    });

    it("unknown options are refused before the first request", async () => {
      const verifier = await verifierWith([key]);
      const misspelt = { ...base, verifier, scope: ["orders.read"] };
      await assert.rejects(async () => start(misspelt), /unknown member scope/);
    });
  });
}

async function assertUnavailable(site: HttpSite, token: string): Promise<void> {
  const answer = await ask(site, { headers: bearer(token) });
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("retry-after"), "5");
  assert.equal(answer.headers.get("www-authenticate"), null);
  assert.equal(answer.headers.get("cache-control"), "no-store");
}

async function assertAnswer(site: HttpSite, question: Question, expected: Expected): Promise<void> {
  const { status, headers, body } = await ask(site, question);
  assert.equal(status, expected.status, body);
  if (expected.challenge !== undefined)
    assert.equal(headers.get("www-authenticate"), expected.challenge);
  if (expected.body !== undefined) assert.equal(body, expected.body);
  if (status < 400 || status >= 500) return;
  assert.equal(headers.get("cache-control"), "no-store");
  // Fastify adds the character set.
  assert.match(headers.get("content-type") ?? "", /^application\/problem\+json(;|$)/);
  if (question.method !== "HEAD") assert.equal(JSON.parse(body).status, status);
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** By fetch, except what fetch joins, forbids or checks before it sends. */
async function ask(
  { origin }: HttpSite,
  { method = "GET", path = "/orders", headers = [] }: Question,
): Promise<Answer> {
  const isPlain =
    headers.length < 2 && headers.every(([, value]) => /^[\x20-\x7e]{0,20000}$/.test(value));
  if (!isPlain) return askRaw(`${origin}${path}`, method, headers);
  const response = await fetch(`${origin}${path}`, {
    method,
    headers: headers.map(([name, value]): [string, string] => [name, value]),
  });
  const { status } = response;
  return { status, headers: response.headers, body: await response.text() };
}

function askRaw(url: string, method: string, headers: HeaderList): Promise<Answer> {
  const { host } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const list = ["Host", host, "Connection", "close", ...headers.flat()];
  const request = httpRequest(url, { method, headers: list, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", reject);
    response.on("end", () => {
      const answered = new Headers();
      for (const [name, values = []] of Object.entries(response.headersDistinct))
        for (const value of values) answered.append(name, value);
      const body = Buffer.concat(chunks).toString();
      resolve({ status: response.statusCode ?? 0, headers: answered, body });
    });
  });
  request.on("error", reject);
  request.end();
  return promise;
}
