import assert from "node:assert/strict";
import { test } from "node:test";
import { TestRegistry } from "../testing/registry.ts";
import { disagreements, keyTable, listKeys, parseSignerKeys, tenantsText } from "./key-list.ts";

const POLICY = { prepublishSeconds: 7200, activeSeconds: 100_000, verifyOnlySeconds: 7200 };

const always = () => POLICY;

function fixture() {
  const fixed = new TestRegistry();
  const active = fixed.key({}, 5000);
  fixed.step(active, "prepublished", 5000);
  fixed.step(active, "active", 5000);
  const gone = fixed.key({}, 5000);
  fixed.step(gone, "tainted", 5000);
  fixed.step(gone, "revoked", 5000);
  return { registry: fixed.registry, active, gone };
}

test("keys that are gone for good are listed on demand only", () => {
  const { registry, active, gone } = fixture();
  const kids = (isAll: boolean) =>
    listKeys(registry, new Map(), always, isAll).map(({ kid }) => kid);
  assert.deepEqual(kids(false), [active]);
  assert.deepEqual(kids(true), [active, gone]);
});

test("a signer that sees another state than the registry is named", () => {
  const { registry, active, gone } = fixture();
  const answer = {
    asOf: 1,
    keys: [
      { kid: active, state: "verify-only", jwk: {} },
      { kid: gone, state: "revoked" },
    ],
  };
  const keys = listKeys(registry, parseSignerKeys(answer), () => POLICY, true);
  assert.deepEqual(
    disagreements(keys).map(({ kid }) => kid),
    [active],
  );
  assert.match(keyTable(keys, 6000), /active \(signer: verify-only\)/);
});

test("the table says custody, tenants and what comes next; without a policy nothing is foretold", () => {
  const { registry } = fixture();
  const [withPolicy, without] = [() => POLICY, () => undefined].map((policyOf) =>
    keyTable(listKeys(registry, new Map(), policyOf, false), 5000),
  );
  assert.match(
    withPolicy ?? "",
    /enterprise +active +.*verify-only in 12 d +ES256 +plain-file +all but 1/,
  );
  assert.match(without ?? "", /enterprise +active +\S+ +- +ES256/);
});

test("tenant selectors in words", () => {
  assert.equal(tenantsText({ bucket: 3, of: 8, except: [] }), "bucket 3 of 8");
  assert.equal(tenantsText({ bucket: 0, of: 1, except: [] }), "all");
  const ids = ["6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001", "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0002"];
  const fixed = new TestRegistry();
  for (const [count, text] of [
    [1, ids[0]],
    [2, `${ids[0]} and 1 more`],
  ] as const) {
    const kid = fixed.key({ tenants: { ids: ids.slice(0, count) } }, 5000);
    const [key] = listKeys(fixed.registry, new Map(), () => POLICY, true).filter(
      (k) => k.kid === kid,
    );
    assert.equal(key && tenantsText(key.tenants), text);
  }
});

test("an answer of the signer in another form is a coded error", () => {
  for (const answer of [{}, { keys: 1 }, { keys: [1] }, { keys: [{ kid: "x" }] }])
    assert.throws(() => parseSignerKeys(answer), { code: "ERR_REQUEST_MEMBER" });
});
