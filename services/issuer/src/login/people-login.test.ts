import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HttpRequest } from "@redoubt/http";
import { StoreError } from "@redoubt/store";
import { OAuthError } from "../errors.ts";
import { LoginPaths } from "./login-place.ts";
import { PeopleLogin } from "./people-login.ts";

const TENANT = "aaaaaaaa-2222-4333-8444-555555555555";
const ORIGIN = "https://login.test";
const paths = new LoginPaths({
  loginOrigin: new URL(ORIGIN),
  tokenEndpoint: `${ORIGIN}/{tenantid}/oauth2/v2.0/token`,
  tenant: null,
});

function unasked(): never {
  throw new Error("not asked");
}

function request(path: string, change: Partial<HttpRequest> = {}): HttpRequest {
  return {
    method: "POST",
    path: `/${TENANT}/oauth2/v2.0${path}`,
    query: "",
    headers: { "content-type": "application/json" },
    rawHeaders: ["origin", ORIGIN, "content-type", "application/json"],
    address: "127.0.0.1",
    id: "r-1",
    body: Buffer.from("{}"),
    promote: unasked,
    ...change,
  };
}

function loginThat(reason: Error, refused: object[] = []): PeopleLogin {
  return new PeopleLogin({
    library: { answer: unasked },
    paths,
    tokenOrigin: new URL(ORIGIN),
    backChannel: { answer: () => Promise.reject(reason) },
    flows: [{ answer: () => Promise.reject(reason) }],
    signOut: { answer: unasked },
    scim: { answer: () => Promise.resolve(undefined) },
    isActive: (tenant) => tenant === TENANT,
    refused: (fields) => refused.push(fields),
  });
}

describe("what people see when something fails", () => {
  it("a store that is away: the script is told in words, a page says them; the code is in the log", async () => {
    const refused: object[] = [];
    const login = loginThat(new StoreError("ERR_STORE_IO", "Store failed"), refused);
    const told = await login.answer(request("/passkeys/sign-in"));
    assert.equal(told?.status, 503);
    assert.deepEqual(Object.keys(JSON.parse(String(told?.body))), ["code", "failure"]);
    assert.match(String(told?.body), /"code":"ERR_UNAVAILABLE"/);
    const page = await login.answer(request("/passkeys/rename", { headers: {} }));
    assert.equal(page?.status, 503);
    assert.match(String(page?.body), /Try again in a minute/);
    const code = "ERR_STORE_IO";
    assert.deepEqual(refused, [
      { requestId: "r-1", tenant: TENANT, code },
      { requestId: "r-1", tenant: TENANT, code },
    ]);
  });

  it("a signer that is away: a client is told as the token endpoint tells it", async () => {
    const error = new OAuthError("ERR_ISSUER_SIGNER_DOWN", "temporarily_unavailable", "Later", {
      retryAfterSeconds: 2,
    });
    const form = { headers: {}, rawHeaders: ["content-type", "application/x-www-form-urlencoded"] };
    const answer = await loginThat(error).answer(
      request("/par", { ...form, body: Buffer.from("a=b") }),
    );
    assert.equal(answer?.status, 503);
    assert.deepEqual(answer?.headers.slice(-2), ["retry-after", "2"]);
  });

  it("what is nobody's refusal is our own mistake, and not hidden", async () => {
    const login = loginThat(new RangeError("a mistake"));
    await assert.rejects(login.answer(request("/passkeys/leave")), RangeError);
  });

  it("another tenant's path, and one outside, are nothing of the people's", async () => {
    const login = loginThat(new RangeError("never asked"));
    const elsewhere = TENANT.replace("a", "b");
    for (const path of [`/${elsewhere}/oauth2/v2.0/passkeys`, "/x", `/${TENANT}/oauth2/v2.0/token`])
      assert.equal(await login.answer(request("", { path })), undefined);
  });
});

describe("LoginPaths", () => {
  it("finds the tenant of a realm of many, and takes no other spelling of a path", () => {
    const mount = `/${TENANT}/oauth2/v2.0`;
    assert.deepEqual(paths.find({ path: `${mount}/passkeys` }), {
      tenant: TENANT,
      mount,
      path: "/passkeys",
    });
    for (const path of [mount, `${mount}x`, `/${TENANT.toUpperCase()}/oauth2/v2.0/x`, "/", ""])
      assert.equal(paths.find({ path })?.path, undefined, path);
    assert.equal(paths.url(TENANT, "/register"), `${ORIGIN}${mount}/register`);
  });

  it("a realm of one tenant has it in no path", () => {
    const tokenEndpoint = `${ORIGIN}/consumer/oauth2/v2.0/token`;
    const one = new LoginPaths({ loginOrigin: new URL(ORIGIN), tokenEndpoint, tenant: TENANT });
    assert.equal(one.find({ path: "/consumer/oauth2/v2.0/passkeys" })?.path, "/passkeys");
    assert.equal(one.find({ path: `/${TENANT}/oauth2/v2.0/passkeys` }), undefined);
  });

  it("a token endpoint elsewhere is a mistake of the set-up", () => {
    const place = { loginOrigin: new URL(ORIGIN), tenant: TENANT };
    assert.throws(() => new LoginPaths({ ...place, tokenEndpoint: `${ORIGIN}/t` }), RangeError);
  });
});
