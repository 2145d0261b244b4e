import assert from "node:assert/strict";
import { test } from "node:test";
import { TestRegistry } from "../testing/registry.ts";
import { withHttp, type TestAnswer } from "../testing/http.ts";
import { exposureText } from "./exposure.ts";
import { issuersOf, readServedKeys, settledKeys, type PublishedIssuer } from "./served-keys.ts";

const jwks = (...kids: readonly unknown[]): TestAnswer => ({
  status: 200,
  body: JSON.stringify({ keys: kids.map((kid) => ({ kid })) }),
});

/** As an issuer that the world knows by another name: the publisher is asked on loopback all the same. */
function at(url: string): PublishedIssuer {
  const { port, pathname } = new URL(url);
  return {
    issuer: `https://login.example.org${pathname.replace(/\/$/, "")}`,
    publisher: Number(port),
  };
}

test("a JWKS: its kids, and for how long it may be kept", () =>
  withHttp(
    ({ url }) => ({
      ...jwks("a", "b", 1),
      ...(url === "/kept/keys" && { headers: { "cache-control": "public, max-age=300" } }),
      ...(url === "/shared/keys" && { headers: { "cache-control": "s-max-age=9, no-cache" } }),
    }),
    async (base) => {
      const served = (path: string) => readServedKeys(at(`${base}/${path}`));
      const kept = await served("kept");
      assert.deepEqual([kept?.kids, kept?.maxAgeSeconds], [["a", "b"], 300]);
      assert.equal((await served("plain"))?.maxAgeSeconds, null);
      assert.equal((await served("shared"))?.maxAgeSeconds, null);
    },
  ));

test("what is no JWKS is none", () =>
  withHttp(
    ({ url }) => {
      if (url.startsWith("/missing")) return { status: 404, body: "{}" };
      return { status: 200, body: url.startsWith("/broken") ? "{" : '{"keys":{}}' };
    },
    async (base) => {
      for (const path of ["missing", "broken", "odd"])
        assert.equal(await readServedKeys(at(`${base}/${path}`)), undefined);
    },
  ));

test("waits until the key has left the JWKS", async () => {
  let asked = 0;
  await withHttp(
    () => {
      asked += 1;
      return asked < 3 ? jwks("old", "new") : jwks("new");
    },
    async (base) => {
      assert.deepEqual((await settledKeys(at(base), "old", false))?.kids, ["new"]);
      assert.equal(asked, 3);
      assert.deepEqual((await settledKeys(at(base), "new", true))?.kids, ["new"]);
    },
  );
});

test("the issuers of a key are those of the active tenants that it covers", () => {
  const fixed = new TestRegistry();
  const tenant = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001";
  const key = fixed.registry.keys.get(fixed.key({}, 5000));
  assert.ok(key);
  assert.deepEqual(issuersOf(fixed.registry, key), []);
  fixed.tenant("enterprise", tenant, ["api://orders"]);
  assert.deepEqual(issuersOf(fixed.registry, key), [`http://127.0.0.1:7400/${tenant}/v2.0`]);
  assert.deepEqual(issuersOf(fixed.registry, { ...key, realm: "galaxy" }), []);
});

test("exposure in words: what is known, what is only bounded, and what still lists the key", () => {
  const issuer = "https://id.example/t";
  const known = {
    jwks: { issuer, listed: false },
    unchecked: null,
    jwksMaxAgeSeconds: 300,
    isMaxAgeKnown: true,
    tokenLifetimeSeconds: 1800,
    verifierPollSeconds: 300,
  };
  const text = exposureText(known);
  for (const pattern of [
    /keys does not list it any more/,
    /ordinary clients: .* 5 min \(max-age\)/,
    /sessions .*: 30 min/,
    /no push channel yet/,
  ])
    assert.match(text, pattern);
  assert.match(exposureText({ ...known, jwks: { issuer, listed: true } }), /keys STILL LISTS it/);
  const unknown = { ...known, jwks: null, isMaxAgeKnown: false, jwksMaxAgeSeconds: 3600 };
  assert.match(exposureText(unknown), /^No JWKS[^]*at most 60 min \(max-age\)/);
});
