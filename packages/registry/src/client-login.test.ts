import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemberReader, ServiceError } from "@redoubt/base";
import { parseJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import fc from "fast-check";
import { readClientLogin } from "./client-login.ts";
import { parseStatement } from "./statement-parser.ts";
import { signStatement } from "./statement.ts";
import { NamedKey, TENANT_A } from "./testing/registry-fixture.ts";

const BACK = "https://app.test/cb?x=1";
const LOGIN = {
  redirectUris: [BACK, "http://127.0.0.1/cb", "http://localhost:8080/cb"],
  logoutUris: ["http://[::1]:8080/"],
  backchannelLogoutUri: "https://app.test/end",
};

/** What no relying party's address may be. */
const ADDRESSES: readonly JsonValue[] = [
  "http://app.test/cb",
  "http://localhost.evil.test/cb",
  "http://127.0.0.2/cb",
  "https://app.test/cb#x",
  "https://app.test/*",
  "https://user@app.test/cb",
  "https://APP.test/cb",
  "https://app.test:443/cb",
  "https://app.test/a/../cb",
  "https://app.test",
  "javascript:alert(1)",
  "data:text/html,x",
  "app:/cb",
  "//app.test/cb",
  "",
  `https://app.test/${"x".repeat(512)}`,
  1,
];

function read(login: JsonObject) {
  return readClientLogin(new MemberReader(parseJsonObject(JSON.stringify(login)), "login"));
}

function refused(login: JsonObject): void {
  assert.throws(
    () => read(login),
    (error) => error instanceof ServiceError && /^ERR_(?:REQUEST_MEMBER|CONFIG)$/.test(error.code),
    JSON.stringify(login),
  );
}

describe("what a client has through which people sign in", () => {
  it("is read whole, and with the least there may be", () => {
    assert.deepEqual(read(LOGIN), LOGIN);
    const least = { redirectUris: [BACK], logoutUris: [] };
    assert.deepEqual(read(least), least);
    const most = Array.from({ length: 16 }, (_, n) => `https://a.test/${n}`);
    assert.deepEqual(read({ redirectUris: most, logoutUris: most }).logoutUris, most);
  });

  it("has no address that an attacker could make his own, wherever it stands", () => {
    for (const uri of ADDRESSES) {
      refused({ ...LOGIN, redirectUris: [uri] });
      refused({ ...LOGIN, redirectUris: [BACK, uri] });
      refused({ ...LOGIN, logoutUris: [uri] });
      refused({ ...LOGIN, backchannelLogoutUri: uri });
    }
  });

  it("is refused without a way back, with one twice, with too many, and with more than it has", () => {
    refused({});
    refused({ ...LOGIN, redirectUris: [] });
    refused({ redirectUris: [BACK] });
    refused({ logoutUris: [] });
    refused({ ...LOGIN, redirectUris: [BACK, BACK] });
    refused({ ...LOGIN, logoutUris: [BACK, BACK] });
    const many = Array.from({ length: 17 }, (_, n) => `https://a.test/${n}`);
    refused({ ...LOGIN, redirectUris: many });
    refused({ ...LOGIN, logoutUris: many });
    refused({ ...LOGIN, password: true });
  });

  it("throws nothing but its own error, whatever the text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.string()), (uri) => {
        try {
          assert.deepEqual(read({ redirectUris: [uri], logoutUris: [] }).redirectUris, [uri]);
        } catch (error) {
          assert.ok(error instanceof ServiceError, String(error));
        }
      }),
    );
  });

  it("stands in the statement of a client", () => {
    const operator = new NamedKey("redoubt.test/operator");
    const body = {
      type: "client",
      realm: "consumer",
      tenant: TENANT_A,
      client: "portal",
      status: "active",
      audiences: [],
      scopes: [],
      login: LOGIN,
    } as const;
    const { statement } = signStatement(body, operator, 1);
    const parsed = parseStatement(statement);
    assert.deepEqual(parsed.type === "client" && parsed.login, LOGIN);
  });
});
