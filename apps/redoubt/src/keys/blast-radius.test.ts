import assert from "node:assert/strict";
import { test } from "node:test";
import { CONSUMER_TENANT } from "../layout.ts";
import { TestRegistry } from "../testing/registry.ts";
import { coveredTenants } from "./blast-radius.ts";

const [A, B, C] = [1, 2, 3].map((n) => `6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e000${n}`);
const audiences = ["api://orders"];

test("blast radius: active tenants of the key's realm that its selector covers, and no other", () => {
  const fixed = new TestRegistry();
  const { registry } = fixed;
  const tenants = [A ?? "", B ?? "", C ?? ""];
  for (const tenant of tenants) fixed.tenant("enterprise", tenant, audiences);
  fixed.tenant("consumer", CONSUMER_TENANT, ["api://mail"]);
  const everybody = fixed.key({}, 5000);
  const named = fixed.key({ tenants: { ids: tenants.slice(0, 2) } }, 5000);
  const covered = (kid: string) => {
    const key = registry.keys.get(kid);
    assert.ok(key);
    return coveredTenants(registry, key);
  };
  assert.deepEqual(covered(everybody), tenants);
  assert.deepEqual(covered(named), tenants.slice(0, 2));
  fixed.state({
    type: "tenant",
    realm: "enterprise",
    tenant: A ?? "",
    status: "suspended",
    audiences,
  });
  fixed.state({
    type: "tenant",
    realm: "enterprise",
    tenant: C ?? "",
    status: "deleted",
    audiences,
  });
  assert.deepEqual(covered(everybody), [B]);
  assert.deepEqual(covered(named), [B]);
});
