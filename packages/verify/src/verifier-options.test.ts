import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromStaticKeys } from "./static-trust.ts";
import { AUDIENCE, ENTERPRISE_RULE, staticKey, TENANT_A } from "./testing/fixture.ts";
import { createVerifier, type Verifier } from "./verifier.ts";

const GOOD = {
  trust: fromStaticKeys({ keys: [staticKey("ent-es256")] }),
  audience: AUDIENCE,
  accept: [ENTERPRISE_RULE],
  issuance: "off",
};

/** As a caller without types would call it. */
const untyped: { create(options: unknown): Promise<Verifier> } = { create: createVerifier };

function refuses(changes: Readonly<Record<string, unknown>>, message: RegExp): Promise<void> {
  return assert.rejects(
    () => untyped.create({ ...GOOD, ...changes }),
    (error) => error instanceof TypeError && message.test(error.message),
    JSON.stringify(changes),
  );
}

describe("createVerifier() options", () => {
  it("takes what is complete", async () => {
    const verifier = await untyped.create(GOOD);
    assert.deepEqual(verifier.status().cache, { size: 0, max: 10_000, hits: 0 });
    assert.equal(verifier.status().issuance, "off");
    await untyped.create({ ...GOOD, typ: "at+jwt", requiredClaims: [], clockToleranceSeconds: 0 });
    await untyped.create({ ...GOOD, maxTokenLength: 64, clientId: "c", cache: { max: 1_000_000 } });
    await untyped.create({ ...GOOD, audience: null, clientId: "c", clockToleranceSeconds: 300 });
  });

  it("refuses unknown options, at each level", async () => {
    await refuses({ algorithms: ["RS256"] }, /unknown member algorithms/);
    await refuses({ ignoreExpiration: true }, /ignoreExpiration/);
    await refuses({ cache: { max: 1, ttl: 1 } }, /ttl/);
    for (const maxBytes of [0, 1.5, Infinity, "1"])
      await refuses({ cache: { max: 1, maxBytes } }, /maxBytes/);
    await refuses({ accept: [{ ...ENTERPRISE_RULE, any: true }] }, /accept\[0\].*any/);
    await refuses({ issuance: { mode: "audit", reporter: { add() {} }, url: "x" } }, /url/);
    for (const options of [null, 1, "options"])
      await assert.rejects(() => untyped.create(options), /^TypeError: option: not an object/);
    await refuses({ accept: [1] }, /^accept\[0\]: not an object/);
    await refuses({ cache: 1 }, /^cache: not an object/);
  });

  it("has no default for what decides about security", async () => {
    for (const name of ["trust", "audience", "accept", "issuance"])
      await refuses({ [name]: undefined }, new RegExp(name));
  });

  it("takes audience null only together with clientId", async () => {
    await refuses({ audience: null }, /clientId/);
    for (const audience of ["", [], [""], [1], [["a"]], {}, 1, "a".repeat(513)])
      await refuses({ audience }, /audience/);
    for (const clientId of ["", 1, null]) await refuses({ clientId }, /clientId/);
  });

  it("refuses accept rules that are malformed or contradict", async () => {
    const { issuer, realm } = ENTERPRISE_RULE;
    for (const rule of [
      null,
      {},
      { issuer, realm },
      { issuer, tenants: "any" },
      { realm, tenants: "any" },
      { issuer: "id.example", realm, tenants: "any" },
      { issuer: "https://id.example/{tenantid}{tenantid}", realm, tenants: "any" },
      { issuer, realm: "Enterprise", tenants: "any" },
      { issuer, realm, tenants: [] },
      { issuer, realm, tenants: "all" },
      { issuer, realm, tenants: [TENANT_A.toUpperCase()] },
    ])
      await refuses({ accept: [rule] }, /accept\[0\]/);
    await refuses({ accept: [] }, /at least one/);
    await refuses({ accept: {} }, /at least one/);
    const again = { ...ENTERPRISE_RULE, tenants: [TENANT_A] };
    await refuses({ accept: [ENTERPRISE_RULE, again] }, /accept\[1\].*before/);
  });

  it("bounds every number", async () => {
    for (const value of [-1, 301, 0.5, Number.NaN, Number.POSITIVE_INFINITY, "60", null])
      await refuses({ clockToleranceSeconds: value ?? "x" }, /clockToleranceSeconds/);
    for (const value of [0, 63, 1_048_577, Number.NaN])
      await refuses({ maxTokenLength: value }, /maxTokenLength/);
    await untyped.create({ ...GOOD, maxTokenLength: 1_048_576 });
    // P4: a verifier that reports accepts nothing that the monitor cannot judge.
    const issuance = { mode: "audit", reporter: { add() {} } };
    await untyped.create({ ...GOOD, issuance, maxTokenLength: 131_072 });
    await refuses({ issuance, maxTokenLength: 131_073 }, /maxTokenLength/);
    for (const max of [-1, 1_000_001, undefined, Number.NaN])
      await refuses({ cache: { max } }, /cache/);
  });

  it("refuses other wrong forms", async () => {
    await refuses({ typ: "JWT" }, /typ/);
    await refuses({ trust: {} }, /trust/);
    await refuses({ now: 1 }, /now/);
    await refuses({ requiredClaims: "scope" }, /requiredClaims/);
    await refuses({ requiredClaims: [""] }, /requiredClaims/);
    for (const issuance of ["on", true, { mode: "audit" }, { mode: "off", reporter: { add() {} } }])
      await refuses({ issuance }, /issuance/);
  });
});
