import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromStaticRecords } from "./static-trust.ts";
import {
  AUDIENCE,
  CONSUMER_ISSUER,
  CONSUMER_TENANT,
  consumerKey,
  DAY,
  ENTERPRISE_ISSUER,
  ENTERPRISE_RULE,
  mint,
  NOW,
  signedRecord,
  staticKey,
  TENANT_A,
  TENANT_B,
  verifierWith,
} from "./testing/fixture.ts";
import { pinOf, signWith, testKey } from "./testing/keys.ts";
import { assertRefused } from "./testing/refusals.ts";

describe("key scope (P1)", () => {
  it("THREAT-01: refuses a consumer key for an enterprise token, in each shape", async () => {
    const keys = [staticKey("ent-es256"), consumerKey()];
    const enterpriseOnly = await verifierWith(keys);
    // Storm-0558: everything in the token is as an enterprise token has it, only the key is the consumer's.
    const storm = mint({ key: "con-es256" });
    assertRefused(enterpriseOnly, storm, "ERR_KEY_SCOPE", "realm");
    const both = await verifierWith(keys, {
      accept: [ENTERPRISE_RULE, { issuer: CONSUMER_ISSUER, realm: "consumer", tenants: "any" }],
    });
    assertRefused(both, storm, "ERR_KEY_SCOPE", "tenant");
    const iss = CONSUMER_ISSUER.replace("{tenantid}", TENANT_A);
    assertRefused(both, mint({ key: "con-es256", payload: { iss } }), "ERR_KEY_SCOPE", "tenant");
    const tid = CONSUMER_TENANT;
    assertRefused(both, mint({ key: "con-es256", payload: { tid } }), "ERR_KEY_SCOPE", "issuer");
    const own = { tid, iss: CONSUMER_ISSUER.replace("{tenantid}", CONSUMER_TENANT) };
    assert.equal(both.verify(mint({ key: "con-es256", payload: own })).key.realm, "consumer");
  });

  it("THREAT-01: over all realm × tenant pairs, a key signs for its own realm and tenants only", async () => {
    const realms = ["alpha", "beta", "gamma"];
    const tenants = [TENANT_A, TENANT_B, CONSUMER_TENANT];
    const names = ["ent-es256", "con-es256", "old-es256"];
    // Key i belongs to realm i and tenant i alone.
    const keys = names.map((name, i) =>
      staticKey(name, {
        realm: realms[i] ?? "",
        issuer: issuerOf(realms[i] ?? ""),
        tenants: { ids: [tenants[i] ?? ""] },
      }),
    );
    const accept = realms.map((realm) => ({
      realm,
      issuer: issuerOf(realm),
      tenants: "any" as const,
    }));
    const verifier = await verifierWith(keys, { accept });
    let accepted = 0;
    for (const [k, key] of names.entries())
      for (const [r, realm] of realms.entries())
        for (const [i, issTenant] of tenants.entries())
          for (const [t, tid] of tenants.entries()) {
            const iss = issuerOf(realm).replace("{tenantid}", issTenant);
            const token = mint({ key, payload: { iss, tid } });
            if (k === r && k === i && k === t) {
              assert.equal(verifier.verify(token).key.realm, realm);
              accepted += 1;
            } else assertRefused(verifier, token, "ERR_KEY_SCOPE", t === k ? "issuer" : "tenant");
          }
    assert.equal(accepted, 3);
  });

  it("takes realm and issuer from the accept rules and nothing wider", async () => {
    const key = staticKey("ent-es256");
    const { realm, issuer } = ENTERPRISE_RULE;
    const otherRealm = await verifierWith([key], {
      accept: [{ issuer, realm: "lab", tenants: "any" }],
    });
    assertRefused(otherRealm, mint(), "ERR_KEY_SCOPE", "realm");
    const otherIssuer = await verifierWith([key], {
      accept: [{ issuer: CONSUMER_ISSUER, realm, tenants: "any" }],
    });
    assertRefused(otherIssuer, mint(), "ERR_KEY_SCOPE", "issuer");
    const tenantB = await verifierWith([key], { accept: [{ issuer, realm, tenants: [TENANT_B] }] });
    assertRefused(tenantB, mint(), "ERR_KEY_SCOPE", "tenant");
    const tenantA = await verifierWith([key], { accept: [{ issuer, realm, tenants: [TENANT_A] }] });
    assert.equal(tenantA.verify(mint()).tenantId, TENANT_A);
  });

  it("refuses iss that is not the template filled with tid, exactly", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const good = ENTERPRISE_ISSUER.replace("{tenantid}", TENANT_A);
    for (const iss of [
      `${good}/`,
      `${good} `,
      good.toUpperCase(),
      good.replace(TENANT_A, TENANT_B),
      `https://attacker.example/?${good}`,
      ENTERPRISE_ISSUER,
      `${good}\u0000`,
    ])
      assertRefused(verifier, mint({ payload: { iss } }), "ERR_KEY_SCOPE", "issuer");
  });

  it("refuses a tid that is not one lower-case GUID", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const tid of [
      TENANT_A.toUpperCase(),
      `{${TENANT_A}}`,
      `${TENANT_A} `,
      "",
      [TENANT_A],
      null,
      1,
    ]) {
      const iss = ENTERPRISE_ISSUER.replace("{tenantid}", String(tid));
      assertRefused(
        verifier,
        mint({ payload: { tid, iss } }),
        "ERR_JWT_CLAIM_VALIDATION_FAILED",
        "tid",
      );
    }
  });

  it("refuses a token when one of its audiences is outside the key's scope", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    assert.equal(
      verifier.verify(mint({ payload: { aud: [AUDIENCE, "api://mail"] } })).cached,
      false,
    );
    assertRefused(
      verifier,
      mint({ payload: { aud: [AUDIENCE, "api://vault"] } }),
      "ERR_KEY_SCOPE",
      "audience",
    );
    const any = await verifierWith([staticKey("ent-es256", { audiences: "any" })]);
    assert.equal(any.verify(mint({ payload: { aud: [AUDIENCE, "api://vault"] } })).cached, false);
  });

  it("THREAT-02: holds iat to the signing window of the key, on both sides and without tolerance", async () => {
    const iat = NOW - 100;
    for (const [changes, isGood] of [
      [{ signFrom: iat }, true],
      [{ signFrom: iat + 1 }, false],
      [{ signUntil: iat }, true],
      [{ signUntil: iat - 1 }, false],
    ] as const) {
      const verifier = await verifierWith([staticKey("ent-es256", changes)]);
      const token = mint({ payload: { iat, exp: iat + 200 } });
      if (isGood) assert.equal(verifier.verify(token).payload.iat, iat);
      else assertRefused(verifier, token, "ERR_KEY_SCOPE", "window");
    }
  });

  it("THREAT-02: nothing verifies at or after verifyUntil, whatever the cache says", async () => {
    let now = NOW;
    const verifyUntil = NOW + 100;
    const key = staticKey("ent-es256", { signUntil: NOW, verifyUntil });
    const verifier = await verifierWith([key], { now: () => now * 1000 });
    const token = mint();
    assert.equal(verifier.verify(token).cached, false);
    now = verifyUntil - 1;
    assert.equal(verifier.verify(token).cached, true);
    now = verifyUntil;
    assertRefused(verifier, token, "ERR_KEY_SCOPE", "window");
    assertRefused(verifier, token, "ERR_KEY_SCOPE", "window");
    const uncached = await verifierWith([key], { now: () => now * 1000, cache: { max: 0 } });
    assertRefused(uncached, token, "ERR_KEY_SCOPE", "window");
  });

  it("THREAT-02: a key that was retired years ago signs nothing, whatever the token claims", async () => {
    const old = staticKey("old-es256", {
      signFrom: NOW - 900 * DAY,
      signUntil: NOW - 800 * DAY,
      verifyUntil: NOW - 799 * DAY,
    });
    const verifier = await verifierWith([old]);
    assertRefused(verifier, mint({ key: "old-es256" }), "ERR_KEY_SCOPE", "window");
    const iat = NOW - 850 * DAY;
    const longLived = { iat, nbf: iat, exp: iat + 3600 };
    const backdated = mint({ key: "old-es256", payload: longLived });
    assertRefused(verifier, backdated, "ERR_KEY_SCOPE", "window");
  });

  it("bounds exp − iat by the key's lifetime, on both sides", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const iat = NOW - 5;
    assert.equal(verifier.verify(mint({ payload: { exp: iat + 3600 } })).payload.exp, iat + 3600);
    for (const exp of [iat + 3601, NOW + 10 * 365 * DAY, Number.MAX_SAFE_INTEGER])
      assertRefused(verifier, mint({ payload: { exp } }), "ERR_KEY_SCOPE", "lifetime");
  });

  it("refuses another algorithm than the key's, and a key of another class", async () => {
    const verifier = await verifierWith([
      staticKey("ent-rs256"),
      staticKey("ent-es256"),
      staticKey("oidc-es256", { class: "oidc" }),
    ]);
    const ps = mint({
      key: "ent-rs256",
      header: { alg: "PS256" },
      sign: (input, key) => signWith(key, input, "PS256"),
    });
    assertRefused(verifier, ps, "ERR_KEY_SCOPE", "alg");
    assertRefused(verifier, mint({ header: { alg: "Ed25519" } }), "ERR_KEY_SCOPE", "alg");
    assertRefused(verifier, mint({ key: "oidc-es256" }), "ERR_KEY_SCOPE", "class");
  });

  it("refuses keys whose floor it cannot hold", async () => {
    const audit = signedRecord("ent-es256");
    const stapled = signedRecord("next-ed25519", { issuanceFloor: "stapled" });
    const verifier = await verifierWith([], {
      trust: fromStaticRecords(
        [audit, stapled].map(({ bytes, ring }) => ({ record: bytes, ring })),
        { rings: { enterprise: pinOf(testKey("ring-enterprise")) } },
      ),
    });
    const good = mint({ header: { kid: audit.record.kid } });
    assert.equal(verifier.verify(good).key.kid, audit.record.kid);
    const token = mint({ key: "next-ed25519", header: { kid: stapled.record.kid } });
    assertRefused(verifier, token, "ERR_ISSUANCE_UNSUPPORTED");
  });

  it("names key, found and expected in the error", async () => {
    const verifier = await verifierWith([consumerKey()]);
    const error = assertRefused(verifier, mint({ key: "con-es256" }), "ERR_KEY_SCOPE", "realm");
    assert.deepEqual([error.found, error.expected, error.status], ["consumer", "enterprise", 401]);
    assert.equal(
      error.message,
      "Key scope mismatch: key con-es256, realm: found consumer, expected enterprise",
    );
  });
});

function issuerOf(realm: string): string {
  return `https://${realm}.id.example/{tenantid}`;
}
