import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry, signStatement, type RegistryItem, type StatementBody } from "@redoubt/registry";
import { defaultRotationPolicy } from "@redoubt/keys";
import { TestRegistry, type TestKey } from "../testing/registry.ts";
import { KeyJournal } from "./key-journal.ts";
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
  const none = { signers: new Map(), policyOf: () => POLICY, alarms: [], nowSeconds: 9000 };
  return { fixed, key, details: await showKey(key, { ...none, registry, history }) };
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

test("the journal of a key: each statement that the registry took, and none that it did not", () => {
  const fixed = new TestRegistry();
  const journal = new KeyJournal();
  const registry = new Registry({ operator: fixed.operator.vkey });
  const items: RegistryItem[] = [];
  const say = (body: StatementBody, author: TestKey, at: number) => {
    const signer = { name: author.vkey.name, privateKey: author.privateKey };
    items.push({ index: items.length, ...signStatement(body, signer, at) });
  };
  const key = fixed.registry.keys.get(fixed.key({}, 5000));
  const realm = fixed.registry.realms.get("enterprise");
  assert.ok(key && realm);
  const { kid, record, recordBytes, ringSignature } = key;
  const name = { realm: "enterprise", kid };
  const { issuer, tenantRule } = realm;
  say(
    { type: "realm", realm: "enterprise", issuer, ring: fixed.ring.text, tenantRule },
    fixed.operator,
    1,
  );
  const log = { log: record.log, writer: fixed.writer.text, logKey: fixed.log.text };
  say({ type: "writer", realm: "enterprise", ...log }, fixed.operator, 2);
  const texts = {
    record: Buffer.from(recordBytes).toString("base64url"),
    ring: Buffer.from(ringSignature).toString("base64url"),
  };
  say({ type: "key", ...name, ...texts }, fixed.ring, 3);
  say({ type: "key-state", ...name, state: "active", reason: "too soon" }, fixed.ring, 4);
  say({ type: "key-state", ...name, state: "prepublished", reason: "r" }, fixed.operator, 5);
  say({ type: "key-state", ...name, state: "prepublished", reason: "r" }, fixed.ring, 6);
  const retain = { type: "key-retain", ...name, by: "operator", reason: "hold" } as const;
  say({ ...retain, retain: true }, fixed.operator, 7);
  say({ ...retain, retain: false }, fixed.operator, 8);
  for (const item of items) journal.take(item.index, registry.apply(item));
  assert.deepEqual(journal.of(kid), [
    { event: "generated", at: 3, index: 2, reason: null },
    { event: "prepublished", at: 6, index: 5, reason: "r" },
    { event: "retained", at: 7, index: 6, reason: "hold" },
    { event: "released", at: 8, index: 7, reason: "hold" },
  ]);
  assert.deepEqual(journal.of("another"), []);
});
