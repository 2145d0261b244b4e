import assert from "node:assert/strict";
import { test } from "node:test";
import { CONSUMER_TENANT, REALMS } from "../layout.ts";
import { TestRegistry } from "../testing/registry.ts";
import {
  checkAudiences,
  checkClientId,
  checkScopes,
  checkTenantId,
  findTenant,
  isSameSet,
  union,
} from "./names.ts";

const TENANT = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001";
const OPTION = { code: "ERR_OPTION" } as const;

test("a tenant is named by a lower-case UUID and nothing else", () => {
  assert.equal(checkTenantId(TENANT), TENANT);
  for (const text of [
    "",
    "contoso",
    TENANT.toUpperCase(),
    `${TENANT}0`,
    ` ${TENANT}`,
    `{${TENANT}}`,
  ])
    assert.throws(() => checkTenantId(text), OPTION, text);
});

test("audiences are names without spaces of at most 512 characters", () => {
  assert.deepEqual(checkAudiences(["api://orders", "a".repeat(512)]).length, 2);
  for (const text of ["", "a b", "a".repeat(513), "api://ö", "a\nb"])
    assert.throws(() => checkAudiences(["api://orders", text]), OPTION, text);
});

// RFC 6749 §3.3.
test("scopes are words, each given by itself", () => {
  assert.deepEqual(checkScopes(["orders.read", "s".repeat(128)]).length, 2);
  for (const text of ["", "orders.read orders.write", 'a"b', "a\\b", "s".repeat(129)])
    assert.throws(() => checkScopes([text]), OPTION, text);
});

test("client ids are names without spaces of at most 128 characters", () => {
  assert.equal(checkClientId("c".repeat(128)), "c".repeat(128));
  for (const text of ["", "a b", "c".repeat(129), "caf\u00e9"])
    assert.throws(() => checkClientId(text), OPTION, text);
});

test("to add twice is to add once, in any order", () => {
  assert.deepEqual(union(["b", "a"], ["a", "c"]), ["a", "b", "c"]);
  assert.equal(isSameSet(["b", "a"], ["a", "b", "a"]), true);
  assert.equal(isSameSet(["a"], ["a", "b"]), false);
  assert.equal(isSameSet([], []), true);
});

test("a tenant's realm is found from its id, and contradicted aloud", () => {
  const { registry } = withTenants();
  assert.deepEqual(findTenant(registry, REALMS, { tenant: TENANT }), {
    realm: "enterprise",
    tenant: TENANT,
  });
  assert.deepEqual(findTenant(registry, REALMS, { realm: "consumer" }), {
    realm: "consumer",
    tenant: CONSUMER_TENANT,
  });
  assert.throws(() => findTenant(registry, REALMS, {}), OPTION);
  assert.throws(() => findTenant(registry, REALMS, { realm: "enterprise" }), OPTION);
  assert.throws(() => findTenant(registry, REALMS, { realm: "consumer", tenant: TENANT }), {
    code: "ERR_TENANT_UNKNOWN",
    message: /not registered in realm consumer: redoubt tenants add/,
  });
  assert.throws(() => findTenant(registry, REALMS, { tenant: TENANT.replace("0001", "0002") }), {
    code: "ERR_TENANT_UNKNOWN",
  });
});

function withTenants(): TestRegistry {
  const registry = new TestRegistry();
  registry.tenant("consumer", CONSUMER_TENANT, ["api://demo-consumer"]);
  registry.tenant("enterprise", TENANT, ["api://orders"]);
  return registry;
}
