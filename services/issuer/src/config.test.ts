import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfig } from "./config.ts";
import { FakeLog } from "@redoubt/testkit";
import { encodeVerifierKey } from "@redoubt/tlog";
import { CONFIG, TENANT } from "./testing/system.ts";

const REGISTRY = new FakeLog("registry").key;
const OPERATOR = new FakeLog("operator").key;
const PINNED = {
  registry: { log: "registry", vkey: encodeVerifierKey(REGISTRY) },
  operator: encodeVerifierKey(OPERATOR),
};
/** What comes of them. */
const WHOLE = { ...CONFIG, registry: { log: "registry", vkey: REGISTRY }, operator: OPERATOR };

function parse(change: object): ReturnType<typeof parseConfig> {
  return parseConfig(Buffer.from(JSON.stringify({ v: 1, ...CONFIG, ...PINNED, ...change })));
}

describe("configuration", () => {
  test("both kinds of realm", () => {
    assert.deepEqual(parse({}), WHOLE);
    const issuer = "http://127.0.0.1:8080/consumer/v2.0";
    const tokenEndpoint = "http://127.0.0.1:8081/consumer/oauth2/v2.0/token";
    const consumer = { realm: "consumer", issuer, tokenEndpoint, tenant: TENANT };
    assert.deepEqual(parse(consumer), { ...WHOLE, ...consumer });
  });

  test("one of several processes of a realm says which; else it is the only one", () => {
    assert.equal(parse({ replica: undefined }).replica, 1);
    for (const replica of [1, 2, 16]) assert.equal(parse({ replica }).replica, replica);
  });

  test("each mutation is refused", () => {
    const mutations = [
      { v: 2 },
      { registry: { ...PINNED.registry, log: "other" } },
      { registry: "registry" },
      { operator: "operator" },
      { realm: "Enterprise" },
      { http: undefined },
      { tenant: undefined },
      { tenant: "x" },
      { tenant: TENANT },
      { issuer: "https://issuer.example/v2.0" },
      { issuer: "https://issuer.example/{tenantid}/{tenantid}" },
      { issuer: "https://issuer.example/{tenant}" },
      { issuer: "https://issuer.example/{tenantid}?a=b" },
      { issuer: "https://issuer.example/{tenantid}#a" },
      { issuer: "https://user@issuer.example/{tenantid}" },
      { issuer: "ftp://issuer.example/{tenantid}" },
      { tokenEndpoint: "https://issuer.example/oauth2/v2.0/token" },
      { tokenEndpoint: "https://issuer.example/{tenantid}/token?a" },
      { tokenEndpoint: undefined },
      { callers: ["operator", "operator"] },
      { callers: ["issuer"] },
      { replica: 0 },
      { replica: 17 },
      { replica: 1.5 },
      { replica: "2" },
      { replica: null },
      { maxTtlSeconds: 59 },
      { maxTtlSeconds: 3601 },
      { unsafeSkipClientAuth: true },
    ];
    for (const mutation of mutations)
      assert.throws(() => parse(mutation), { code: "ERR_CONFIG" }, JSON.stringify(mutation));
    for (const bytes of ["", "[]", '{"v":1,"v":1}'])
      assert.throws(() => parseConfig(Buffer.from(bytes)), { code: "ERR_CONFIG" });
  });

  test("all problems are named at once", () => {
    assert.throws(() => parse({ http: {}, realm: "", maxTtlSeconds: 0, x: 1 }), {
      message: /realm.*http.*maxTtlSeconds.*unknown member x/,
    });
  });
});
