import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultRotationPolicy } from "@redoubt/keys";
import type { Alarm } from "../alarms.ts";
import { TestRegistry } from "../testing/registry.ts";
import { concerns, disagreements, keyTable, listKeys, tenantsText } from "./key-list.ts";
import type { KeySources } from "./key-sources.ts";

const DAY = 86_400;
const POLICY = defaultRotationPolicy({ tenants: "many", maxLifetimeSeconds: 3600 });
const LIFE = { signUntil: 5000 + 15 * DAY, verifyUntil: 5000 + 16 * DAY };

function fixture() {
  const fixed = new TestRegistry();
  const active = fixed.key(LIFE, 5000);
  fixed.step(active, "prepublished", 5000);
  fixed.step(active, "active", 5000);
  const gone = fixed.key(LIFE, 5000);
  fixed.step(gone, "tainted", 5000);
  fixed.step(gone, "revoked", 5000);
  return { fixed, registry: fixed.registry, active, gone };
}

function sources(
  fixed: TestRegistry,
  more: Partial<Omit<KeySources, "registry">> = {},
): KeySources {
  const { registry } = fixed;
  const none = { signers: new Map(), policyOf: () => POLICY, alarms: [], nowSeconds: 5000 };
  return { ...none, ...more, registry };
}

function alarm(id: number, fields: Partial<Alarm>): Alarm {
  return { id, at: 1, kind: "event", severity: "notice", count: 1, detail: null, ...fields };
}

test("keys that are gone for good are listed on demand only", () => {
  const { fixed, active, gone } = fixture();
  const kids = (isAll: boolean) => listKeys(sources(fixed), isAll).map(({ kid }) => kid);
  assert.deepEqual(kids(false), [active]);
  assert.deepEqual(kids(true), [active, gone]);
});

test("a signer that sees another state than the registry is named", () => {
  const { fixed, active, gone } = fixture();
  const signers = new Map([
    [active, { state: "verify-only", held: true }],
    [gone, { state: "revoked", held: null }],
  ]);
  const keys = listKeys(sources(fixed, { signers }), true);
  assert.deepEqual(
    disagreements(keys).map(({ kid }) => kid),
    [active],
  );
  assert.match(keyTable(keys, 6000), /active \(signer: verify-only\)/);
});

test("P6: a standby signs early where its signer says that custody lost the key before it, and no key signs", () => {
  const { fixed, active } = fixture();
  const standby = fixed.key(LIFE, 6000);
  fixed.step(standby, "prepublished", 6000);
  const nextAt = (held: boolean | null): number | undefined => {
    const signers = new Map([[active, { state: "active", held }]]);
    return listKeys(sources(fixed, { signers }), false).find(({ kid }) => kid === standby)?.next
      ?.at;
  };
  const byAge = nextAt(true);
  assert.equal(byAge, 5000 + POLICY.activeSeconds);
  fixed.step(active, "verify-only", 6000);
  assert.equal(nextAt(false), 6900);
  for (const held of [true, null]) assert.equal(nextAt(held), 6000 + POLICY.prepublishSeconds);
});

test("the table says age, custody, tenants and what comes next; without a policy nothing is foretold", () => {
  const { fixed } = fixture();
  fixed.tenant("enterprise", "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001", ["api://orders"]);
  const [withPolicy, without] = [() => POLICY, () => undefined].map((policyOf) => {
    const nowSeconds = 5000 + 2 * DAY;
    return keyTable(listKeys(sources(fixed, { policyOf, nowSeconds }), false), nowSeconds);
  });
  assert.match(
    withPolicy ?? "",
    /enterprise +active +2 d \(14 %\) +verify-only in 12 d +ES256 +plain-file +all but 1 +1 +- /,
  );
  assert.match(without ?? "", /enterprise +active +- +- +ES256/);
});

test("what is retained, missing in custody, old or named by an open alarm stands in the notes", () => {
  const { fixed, active } = fixture();
  fixed.state(
    {
      type: "key-retain",
      realm: "enterprise",
      kid: active,
      by: "operator",
      retain: true,
      reason: "r",
    },
    5000,
  );
  const detail = { event: "key-age-alarm", detail: `Key ${active} has been active for P12D` };
  const alarms = [
    alarm(1, { detail }),
    alarm(2, { detail, closed: "looked into" }),
    alarm(3, { detail: { event: "key-age-alarm", detail: "Key of somebody else" } }),
    alarm(4, { kind: "forged", severity: "critical", detail: { kid: active } }),
  ];
  const signers = new Map([[active, { state: "active", held: false }]]);
  const nowSeconds = 5000 + 12 * DAY;
  const keys = listKeys(sources(fixed, { alarms, signers, nowSeconds }), false);
  assert.deepEqual(keys[0]?.alarms, [
    { id: 1, kind: "key-age-alarm", severity: "notice" },
    { id: 4, kind: "forged", severity: "critical" },
  ]);
  assert.match(
    keyTable(keys, nowSeconds),
    /retained by operator, not in custody, age: alarm, alarm 1 key-age-alarm, alarm 4 forged/,
  );
});

test("concerns: none while rotation works, on both sides of the age alarm", () => {
  const { fixed, active } = fixture();
  // 80 % of fourteen days.
  const alarmAt = 5000 + (80 * 14 * DAY) / 100;
  const at = (nowSeconds: number) => concerns(listKeys(sources(fixed, { nowSeconds }), false));
  assert.deepEqual(at(alarmAt - 1), []);
  assert.match(at(alarmAt).join(), new RegExp(`^Key ${active} has reached 80 % of its age limit`));
  assert.match(
    at(5000 + 14 * DAY).join("\n"),
    /100 %[^\n]*\nNo key signs in realm enterprise, class at$/,
  );
});

test("concerns: a key that custody lost, while it is of use; and a ring that is silent", () => {
  const { fixed, active } = fixture();
  const lost = (state: string) => new Map([[active, { state, held: false }]]);
  const found = () => concerns(listKeys(sources(fixed, { signers: lost("active") }), false));
  assert.deepEqual(found(), [`Custody does not hold key ${active}, which is active`]);
  fixed.step(active, "verify-only", 6000);
  assert.deepEqual(found(), ["No key signs in realm enterprise, class at"]);
});

test("concerns: a drill key is no ring of its own, and no use to one", () => {
  const fixed = new TestRegistry();
  const drill = fixed.key(
    {
      custody: "drill",
      audiences: ["urn:redoubt:drill"],
      tenants: { ids: ["6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001"] },
      signUntil: 6000,
      verifyUntil: 6500,
    },
    5000,
  );
  fixed.step(drill, "prepublished", 5000);
  assert.deepEqual(concerns(listKeys(sources(fixed), true)), []);
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
    const key = listKeys(sources(fixed), true).find((k) => k.kid === kid);
    assert.equal(key && tenantsText(key.tenants), text);
  }
});
