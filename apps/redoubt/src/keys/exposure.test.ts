import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { CONSUMER_TENANT } from "../layout.ts";
import { TestRegistry } from "../testing/registry.ts";
import { exposureText, measureExposure } from "./exposure.ts";

test("an issuer that does not answer here changes nothing of what was done, and is said", async () => {
  const fixed = new TestRegistry();
  const tenant = "11111111-1111-4111-8111-111111111111";
  fixed.tenant("enterprise", tenant, ["api://a"]);
  const key = fixed.registry.keys.get(fixed.key({}, 5000));
  assert.ok(key);
  const port = await freePort();
  const realm = { realm: "enterprise", tenantRule: { except: [CONSUMER_TENANT] } };
  const issuer = "https://kubernetes.default.svc/{tenantid}/v2.0";
  const known = fixed.registry.realms.get("enterprise");
  assert.ok(known);
  const realms = new Map([["enterprise", { ...known, ...realm, issuer }]]);
  const exposure = await measureExposure({ tenants: fixed.registry.tenants, realms }, key, port);
  assert.equal(exposure.jwks, null);
  assert.match(exposure.unchecked ?? "", /ERR_FETCH|No answer from/);
  const text = exposureText(exposure);
  assert.match(text, /^NOT CHECKED whether a JWKS still lists it: .*No answer from/);
  assert.match(text, /until their copy of the JWKS ends: at most/);
});

test("a key that no issuer serves is not unchecked", async () => {
  const fixed = new TestRegistry();
  const key = fixed.registry.keys.get(fixed.key({}, 5000));
  assert.ok(key);
  const exposure = await measureExposure({ tenants: new Map(), realms: new Map() }, key, 9);
  assert.deepEqual([exposure.jwks, exposure.unchecked], [null, null]);
  assert.match(exposureText(exposure), /^No JWKS that would list it is served/);
});

/** Of a server that is gone. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise<unknown>((resolve) => server.close(resolve));
  return typeof address === "object" && address ? address.port : 1;
}
