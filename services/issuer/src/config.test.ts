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
    const consumer = { realm: "consumer", issuer, tenant: TENANT };
    assert.deepEqual(parse(consumer), { ...WHOLE, ...consumer });
    const proxied = { proxies: { addresses: ["127.0.0.1", "fd00::/8"], hops: 8 } };
    assert.deepEqual(parse(proxied), { ...WHOLE, ...proxied });
  });

  test("each mutation is refused", () => {
    const mutations = [
      { v: 2 },
      { registry: { ...PINNED.registry, log: "other" } },
      { registry: "registry" },
      { operator: "operator" },
      { realm: "Enterprise" },
      { port: 65_536 },
      { port: "80" },
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
      { callers: ["operator", "operator"] },
      { proxies: undefined },
      { proxies: [] },
      { proxies: {} },
      { proxies: { addresses: [], hops: 1 } },
      { proxies: { addresses: ["127.0.0.1"] } },
      { proxies: { addresses: ["127.0.0.1"], hops: 0 } },
      { proxies: { addresses: ["127.0.0.1"], hops: 9 } },
      { proxies: { addresses: ["0.0.0.0/0"], hops: 1 } },
      { proxies: { addresses: ["localhost"], hops: 1 } },
      { proxies: { addresses: Array(65).fill("127.0.0.1"), hops: 1 } },
      { proxies: { addresses: ["127.0.0.1"], hops: 1, header: "Forwarded" } },
      { callers: ["issuer"] },
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
    assert.throws(() => parse({ port: -1, realm: "", maxTtlSeconds: 0, x: 1 }), {
      message: /realm.*port.*maxTtlSeconds.*unknown member x/,
    });
  });
});
