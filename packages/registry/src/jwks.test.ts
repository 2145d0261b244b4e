import assert from "node:assert/strict";
import { hash, verify } from "node:crypto";
import { describe, it } from "node:test";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { issuerFor, parseKeyRecord } from "@redoubt/verify/record";
import fc from "fast-check";
import { jwkOf, keysForIssuer } from "./jwks.ts";
import { KEY_STATES } from "@redoubt/keys";
import {
  CONSUMER_TENANT,
  NOW,
  RegistryFixture,
  TENANT_A,
  TENANT_B,
} from "./testing/registry-fixture.ts";

function bucketOf(tenant: string): number {
  return hash("sha256", tenant, "buffer").readUInt32BE(0) % 3;
}

const UNTIL = NOW + 100_000;
const PATHS = {
  generated: [],
  prepublished: ["prepublished"],
  active: ["prepublished", "active"],
  "verify-only": ["prepublished", "active", "verify-only"],
  retired: ["prepublished", "retired"],
  destroyed: ["destroyed"],
  tainted: ["prepublished", "active", "tainted"],
  revoked: ["tainted", "revoked"],
} as const;

describe("keysForIssuer", () => {
  for (const state of KEY_STATES) {
    const isListed = ["prepublished", "active", "verify-only"].includes(state);
    it(`lists ${isListed ? "a" : "no"} key that is ${state}`, () => {
      const fixture = new RegistryFixture().withRealms();
      const kid = fixture.keyIn(fixture.enterprise, PATHS[state]);
      const listed = keysForIssuer(fixture.registry, "enterprise", TENANT_A, NOW);
      assert.deepEqual(
        listed.map((key) => key.kid),
        isListed ? [kid] : [],
      );
    });
  }

  it("THREAT-02: lists a key until nothing verifies by it", () => {
    const fixture = new RegistryFixture().withRealms();
    fixture.keyIn(fixture.enterprise, ["prepublished", "active"]);
    const count = (now: number) =>
      keysForIssuer(fixture.registry, "enterprise", TENANT_A, now).length;
    assert.deepEqual([UNTIL - 1, UNTIL, UNTIL + 1].map(count), [1, 0, 0]);
  });

  it("THREAT-01: lists for a realm and tenant no key that is not theirs", () => {
    const fixture = new RegistryFixture().withRealms();
    const { registry, consumer, enterprise } = fixture;
    const except = [CONSUMER_TENANT];
    fixture.keyIn(consumer, ["prepublished", "active"]);
    fixture.keyIn(enterprise, ["prepublished", "active"], { tenants: { ids: [TENANT_A] } });
    fixture.keyIn(enterprise, ["prepublished", "active"], { tenants: { ids: [TENANT_B] } });
    for (const bucket of [0, 1, 2])
      fixture.keyIn(enterprise, ["prepublished", "active"], { tenants: { bucket, of: 3, except } });

    const realms = fc.constantFrom("consumer", "enterprise", "gov", "", "constructor");
    const tenants = fc.oneof(
      fc.constantFrom(CONSUMER_TENANT, TENANT_A, TENANT_B),
      fc.uuid(),
      fc.string(),
    );
    let listed = 0;
    fc.assert(
      fc.property(realms, tenants, (realm, tenant) => {
        const keys = keysForIssuer(registry, realm, tenant, NOW);
        for (const { record } of keys) {
          assert.equal(record.realm, realm);
          assert.equal(record.issuer, realm === "consumer" ? consumer.issuer : enterprise.issuer);
          assert.equal(realm === "consumer", tenant === CONSUMER_TENANT);
          if ("ids" in record.tenants) assert.deepEqual(record.tenants.ids, [tenant]);
          else assert.equal(record.tenants.bucket, bucketOf(tenant));
          listed += 1;
        }
        const isTenant = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(tenant);
        const own = tenant === TENANT_A || tenant === TENANT_B ? 2 : 1;
        if (realm === "consumer") assert.equal(keys.length, tenant === CONSUMER_TENANT ? 1 : 0);
        else if (realm === "enterprise")
          assert.equal(keys.length, isTenant && tenant !== CONSUMER_TENANT ? own : 0);
        else assert.equal(keys.length, 0);
      }),
      { numRuns: 500 },
    );
    assert.ok(listed > 50);
  });
});

describe("jwkOf", () => {
  it("holds the public members, the record and its ring signature, and nothing private", () => {
    const fixture = new RegistryFixture().withRealms();
    const { registry, enterprise } = fixture;
    const kid = fixture.keyIn(enterprise, ["prepublished"]);
    const key = registry.keys.get(kid);
    assert.ok(key);
    const jwk = jwkOf(key);
    assert.deepEqual(Object.keys(jwk).toSorted(), [
      "alg",
      "crv",
      "issuer",
      "kid",
      "kty",
      "redoubt",
      "use",
      "x",
      "y",
    ]);
    const { kty, crv, x, y } = jwk;
    assert.deepEqual({ kty, crv, x, y }, { ...key.record.publicKey });
    assert.deepEqual(
      [jwk.kid, jwk.alg, jwk.use, jwk.issuer],
      [kid, "ES256", "sig", enterprise.issuer],
    );
    const bytes = decodeBase64url(jwk.redoubt.record);
    assert.equal(hash("sha256", bytes, "base64url"), kid);
    assert.equal(issuerFor(parseKeyRecord(bytes), TENANT_A), `https://id.test/${TENANT_A}/v2.0`);
    const signed = Buffer.concat([Buffer.from("redoubt/key-record/v1\n"), bytes]);
    const ring = enterprise.ring.verifier.publicKey;
    assert.equal(verify(null, signed, ring, decodeBase64url(jwk.redoubt.ring)), true);
  });
});
