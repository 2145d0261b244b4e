import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
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
