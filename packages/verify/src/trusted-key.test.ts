import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parsePublicJwk } from "./public-key.ts";
import { parseStaticKey } from "./static-trust.ts";
import { isTenantId } from "./tenant.ts";
import { staticKey, TENANT_A, TENANT_B } from "./testing/fixture.ts";
import { TrustedKey } from "./trusted-key.ts";

const TEMPLATES = [
  "https://id.example",
  "https://id.example/{tenantid}",
  "https://id.example/{tenantid}/v2.0",
  "https://{tenantid}.id.example",
];

describe("TrustedKey.isIssuerOf()", () => {
  const keys = TEMPLATES.map(
    (issuer) => new TrustedKey(parseStaticKey(staticKey("ent-es256", { issuer })), []),
  );
  if (!isTenantId(TENANT_A) || !isTenantId(TENANT_B)) throw new TypeError("Not tenant ids");
  const [a, b] = [TENANT_A, TENANT_B];

  it("THREAT-01: takes exactly the issuer of that tenant", () => {
    for (const key of keys) {
      const issuer = key.issuerOf(a);
      assert.equal(key.isIssuerOf(a, issuer), true);
      for (let i = 0; i < issuer.length; i += 1)
        for (const other of [
          issuer.slice(0, i) + issuer.slice(i + 1),
          `${issuer.slice(0, i)}~${issuer.slice(i + 1)}`,
          `${issuer.slice(0, i)}~${issuer.slice(i)}`,
        ])
          assert.equal(key.isIssuerOf(a, other), false, other);
      for (const other of ["", `${issuer}/`, ` ${issuer}`, issuer.toUpperCase(), key.scope.issuer])
        assert.equal(key.isIssuerOf(a, other), other === issuer, other);
    }
  });

  it("agrees with the issuer spelled out, for any two tenants and any other text", () => {
    for (const key of keys)
      for (const other of keys)
        for (const tenant of [a, b])
          for (const text of [other.issuerOf(a), other.issuerOf(b)])
            assert.equal(key.isIssuerOf(tenant, text), text === key.issuerOf(tenant));
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.string(), fc.string(), (key, before, after) => {
        const text = before + key.issuerOf(a) + after;
        assert.equal(key.isIssuerOf(a, text), text === key.issuerOf(a));
      }),
    );
  });
});

describe("TrustedKey.isSameAs()", () => {
  it("is true for one scope that the same sources vouch for, in order", () => {
    const scope = parseStaticKey(staticKey("ent-es256"));
    const other = parseStaticKey(staticKey("ent-es256", { audiences: "any" }));
    const [one, two] = [{ freshUntil: 1 }, { freshUntil: 1 }];
    const key = new TrustedKey(scope, [one, two]);
    assert.equal(key.isSameAs(new TrustedKey(scope, [one, two])), true);
    for (const [otherScope, freshness] of [
      [other, [one, two]],
      [scope, [one]],
      [scope, [one, two, one]],
      [scope, [two, one]],
    ] as const)
      assert.equal(key.isSameAs(new TrustedKey(otherScope, freshness)), false);
    assert.equal(key.isSameAs(undefined), false);
  });
});

describe("TrustedKey.signatureBytes", () => {
  it("RFC 7518 §3.3, §3.4: is what the algorithm makes with this key", () => {
    for (const [alg, curve, bytes] of [
      ["ES256", "P-256", 64],
      ["ES384", "P-384", 96],
      ["ES512", "P-521", 132],
    ] as const) {
      const jwk = generateKeyPairSync("ec", { namedCurve: curve }).publicKey.export({
        format: "jwk",
      });
      const publicKey = parsePublicJwk(
        { kty: "EC", crv: curve, x: jwk.x ?? "", y: jwk.y ?? "" },
        alg,
      );
      const scope = { ...parseStaticKey(staticKey("ent-es256")), alg, publicKey };
      assert.equal(new TrustedKey(scope, []).signatureBytes, bytes);
    }
    for (const [name, bytes] of [
      ["ent-ed25519", 64],
      ["ent-rs256", 256],
    ] as const)
      assert.equal(new TrustedKey(parseStaticKey(staticKey(name)), []).signatureBytes, bytes);
  });
});
