import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultRotationPolicy } from "@redoubt/keys";
import { TestRegistry } from "../testing/registry.ts";
import { detailsText, jwksConcerns, showKey } from "./key-show.ts";

const POLICY = defaultRotationPolicy({ tenants: "many", maxLifetimeSeconds: 3600 });

async function shown() {
  const fixed = new TestRegistry();
  const kid = fixed.key({}, 5000);
  fixed.step(kid, "prepublished", 5001);
  fixed.step(kid, "active", 5002);
  const key = fixed.registry.keys.get(kid);
  assert.ok(key);
  const { registry } = fixed;
  const history = [{ event: "active", at: 5002, index: 5, reason: "life cycle\u001b[2J" }] as const;
  const none = {
    publisher: 9,
    signers: new Map(),
    policyOf: () => POLICY,
    alarms: [],
    nowSeconds: 9000,
  };
  return { fixed, key, details: await showKey({ ...key, history }, { ...none, registry }) };
}

test("a key's details: record, ring, place in the registry, and what a JWKS says of it", async () => {
  const { fixed, key, details } = await shown();
  assert.equal(details.index, key.index);
  assert.equal(details.record["realm"], "enterprise");
  assert.equal(details.ring.key, fixed.ring.text);
  // No active tenant: no issuer lists it, though its state would have it published.
  assert.deepEqual(
    [details.jwks.expected, details.jwks.issuers, details.jwks.served],
    [false, 0, []],
  );
  assert.equal(Reflect.get(details.jwks.jwk, "kid"), key.kid);
});

test("in words, without what a terminal would act on", async () => {
  const { details } = await shown();
  const text = detailsText(details, 9000);
  for (const pattern of [
    /^state +active since 1970-01-01T01:23:22Z \(67 min ago\)$/m,
    /^signer +does not say$/m,
    /^next +verify-only in 12 d$/m,
    /^active +1970-01-01T01:23:22Z \(67 min ago\) +5 +life cycle\?\[2J$/m,
    /^Record \(registry index 3\):$/m,
    /^JWKS: not in the key sets of 0 issuers$/m,
  ])
    assert.match(text, pattern);
  assert.equal(text.includes("\u001b"), false);
});

test("a publisher that serves something else than the registry says is a concern, either way", async () => {
  const { details } = await shown();
  const concerns = (expected: boolean, listed: boolean | null) =>
    jwksConcerns({
      ...details,
      jwks: { ...details.jwks, expected, served: [{ issuer: "https://id.example", listed }] },
    });
  assert.deepEqual(concerns(true, true), []);
  assert.deepEqual(concerns(false, false), []);
  assert.match(concerns(false, true).join(), /keys lists key .* against the registry$/);
  assert.match(concerns(true, false).join(), /keys does not list key .* against the registry$/);
  assert.deepEqual(concerns(true, null), ["https://id.example/keys cannot be read"]);
});
