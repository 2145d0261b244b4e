import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AUDIENCE, mint, NOW, staticKey, verifierWith } from "./testing/fixture.ts";
import { assertRefused } from "./testing/refusals.ts";

describe("claims", () => {
  const invalid = "ERR_JWT_CLAIM_VALIDATION_FAILED";

  it("requires this service as audience", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    assertRefused(verifier, mint({ payload: { aud: "api://mail" } }), invalid, "aud");
    for (const aud of [undefined, "", [], [AUDIENCE, 1], [{}, AUDIENCE], {}, null, [AUDIENCE, ""]])
      assertRefused(verifier, mint({ payload: { aud } }), invalid, "aud");
    const many = Array.from({ length: 65 }, () => AUDIENCE);
    assert.equal(verifier.verify(mint({ payload: { aud: many.slice(1) } })).cached, false);
    assertRefused(verifier, mint({ payload: { aud: many } }), invalid, "aud");
    const several = await verifierWith([staticKey("ent-es256")], {
      audience: ["api://mail", "api://x"],
    });
    assert.equal(several.verify(mint({ payload: { aud: "api://mail" } })).cached, false);
    assertRefused(several, mint(), invalid, "aud");
  });

  it("takes audience null only with the expected client", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")], {
      audience: null,
      clientId: "client-1",
    });
    assert.equal(verifier.verify(mint({ payload: { aud: "api://mail" } })).cached, false);
    for (const aud of [undefined, "", [], [1]])
      assertRefused(verifier, mint({ payload: { aud } }), invalid, "aud");
    for (const client_id of [undefined, "client-2", ["client-1"], ""])
      assertRefused(verifier, mint({ payload: { client_id } }), invalid, "client_id");
  });

  it("requires iat and exp as safe integers, and iss, sub, jti as text", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const name of ["iat", "exp"])
      for (const value of [undefined, null, "1800000000", NOW + 0.5, true, [NOW], 2 ** 53])
        assertRefused(verifier, mint({ payload: { [name]: value } }), invalid, name);
    for (const name of ["iss", "sub", "jti"])
      for (const value of [undefined, null, 1, ["x"], {}])
        assertRefused(verifier, mint({ payload: { [name]: value } }), invalid, name);
    for (const name of ["sub", "jti"])
      assertRefused(verifier, mint({ payload: { [name]: "" } }), invalid, name);
  });

  it("requires the claims that the service asked for", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")], {
      requiredClaims: ["scope", "toString"],
    });
    const own = { scope: "read", toString: "x" };
    assert.equal(verifier.verify(mint({ payload: own })).payload["scope"], "read");
    assertRefused(verifier, mint({ payload: { ...own, scope: undefined } }), invalid, "scope");
    assertRefused(verifier, mint({ payload: { scope: "read" } }), invalid, "toString");
  });

  it("expires at exp, with the tolerance and without, on both sides", async () => {
    const exp = NOW + 10;
    for (const tolerance of [0, 60, 300]) {
      let now = exp + tolerance - 1;
      const verifier = await verifierWith([staticKey("ent-es256")], {
        clockToleranceSeconds: tolerance,
        now: () => now * 1000 + 999,
      });
      const token = mint({ payload: { exp } });
      assert.equal(verifier.verify(token).payload.exp, exp);
      now += 1;
      assertRefused(verifier, token, "ERR_JWT_EXPIRED", "exp");
      assert.equal(verifier.status().cache.size, 0);
      assertRefused(verifier, token, "ERR_JWT_EXPIRED", "exp");
    }
    const standard = await verifierWith([staticKey("ent-es256")], { now: () => (exp + 60) * 1000 });
    assertRefused(standard, mint({ payload: { exp } }), "ERR_JWT_EXPIRED", "exp");
  });

  it("refuses iat and nbf in the future, beyond the tolerance", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const name of ["iat", "nbf"]) {
      assert.equal(verifier.verify(mint({ payload: { [name]: NOW + 60 } })).cached, false);
      assertRefused(verifier, mint({ payload: { [name]: NOW + 61 } }), invalid, name);
    }
    assert.equal(verifier.verify(mint({ payload: { nbf: undefined } })).cached, false);
    for (const nbf of [null, "0", 0.5, []])
      assertRefused(verifier, mint({ payload: { nbf } }), invalid, "nbf");
  });

  it("refuses a token that ends before it begins", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const exp of [NOW - 5, NOW - 6])
      assertRefused(verifier, mint({ payload: { exp } }), invalid, "exp");
    assert.equal(verifier.verify(mint({ payload: { exp: NOW - 4 } })).payload.exp, NOW - 4);
  });

  it("THREAT-17: never ignores cnf", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const cnf of [{ jkt: "x" }, { "x5t#S256": "x" }, {}, null, ""])
      assertRefused(verifier, mint({ payload: { cnf } }), "ERR_BINDING_UNSUPPORTED");
  });
});
