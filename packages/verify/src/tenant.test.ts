import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isTenantId, tenantCovered, type TenantId } from "./tenant.ts";
import { CONSUMER_TENANT, TENANT_A, TENANT_B } from "./testing/fixture.ts";

function tenantId(text: string): TenantId {
  if (!isTenantId(text)) throw new RangeError(text);
  return text;
}

describe("isTenantId()", () => {
  it("takes lower-case GUIDs and nothing else", () => {
    assert.equal(isTenantId(TENANT_A), true);
    for (const value of [
      TENANT_A.toUpperCase(),
      `{${TENANT_A}}`,
      TENANT_A.slice(1),
      `${TENANT_A}0`,
      `${TENANT_A}\n`,
      "",
      1,
      null,
      [TENANT_A],
    ])
      assert.equal(isTenantId(value), false);
  });
});

describe("tenantCovered()", () => {
  it("THREAT-01: a list covers its members only", () => {
    const selector = { ids: [tenantId(TENANT_A), tenantId(TENANT_B)] };
    const found = [TENANT_A, TENANT_B, CONSUMER_TENANT, TENANT_A.toUpperCase(), ""].map((id) =>
      tenantCovered(selector, id),
    );
    assert.deepEqual(found, [true, true, false, false, false]);
  });

  it("exceptions win over the bucket, and what is no tenant is never covered", () => {
    const selector = { bucket: 0, of: 1, except: [tenantId(CONSUMER_TENANT)] };
    const found = [TENANT_A, CONSUMER_TENANT, "", "any", TENANT_A.toUpperCase()].map((id) =>
      tenantCovered(selector, id),
    );
    assert.deepEqual(found, [true, false, false, false, false]);
  });

  it("each tenant is in exactly one of n buckets, and in the one that the hash says", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.integer({ min: 1, max: 64 }), (id, of) => {
        const inside = Array.from({ length: of }, (_, bucket) => bucket).filter((bucket) =>
          tenantCovered({ bucket, of, except: [] }, id),
        );
        const digest = createHash("sha256").update(id).digest();
        assert.deepEqual(inside, [digest.readUInt32BE(0) % of]);
      }),
    );
  });
});
