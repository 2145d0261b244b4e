import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkIssuers } from "./discovery-options.ts";
import { readKeySet, type ReadKeySet } from "./key-set.ts";
import { TENANT_A, TENANT_B, type Claims } from "./testing/fixture.ts";
import { testKey } from "./testing/keys.ts";

const MANY = "https://login.example/{tenantid}/v2.0";
const ONE = MANY.replace("{tenantid}", TENANT_A);

/** What counts of a set that holds these keys, for an issuer that was declared so. */
function read(keys: readonly Claims[], issuer = ONE, tenants?: readonly string[]): ReadKeySet {
  const declaration = { issuer, profile: "entra" as const, ...(tenants && { tenants }) };
  const [checked] = checkIssuers({ issuers: [declaration] });
  assert.ok(checked);
  return readKeySet(Buffer.from(JSON.stringify({ keys })), checked, []);
}

function jwk(changes: Claims = {}, name = "ent-rs256"): Claims {
  return { ...testKey(name).publicJwk, kid: "k1", ...changes };
}

describe("readKeySet()", () => {
  it("a private key takes every key of its kid with it, and every key with its public half", () => {
    for (const leaked of [jwk({ d: "AA" }, "con-es256"), jwk({ d: "AA", kid: "k2" })]) {
      const { keys, refusals } = read([jwk(), leaked]);
      assert.equal(keys.length, 0);
      assert.deepEqual(
        refusals.map(({ code }) => code),
        ["ERR_KEYSET_PRIVATE"],
      );
    }
    assert.equal(read([jwk(), jwk({ d: "AA", kid: "k2" }, "con-es256")]).keys.length, 1);
  });

  it("ignores keys of algorithms that nobody declared, whatever else they say", () => {
    for (const changes of [
      { alg: "HS256" },
      { alg: "ES256", kid: undefined },
      { alg: "RSA-OAEP" },
    ]) {
      const { keys, refusals, ignored } = read([jwk(changes)]);
      assert.deepEqual([keys, refusals, ignored], [[], [], 1], JSON.stringify(changes));
    }
  });

  it("a key may name the issuer, or the template that the issuer fills, and no other", () => {
    for (const issuer of [undefined, ONE, MANY])
      assert.equal(read([jwk({ issuer })]).keys.length, 1, issuer);
    for (const issuer of [ONE.replace(TENANT_A, TENANT_B), "https://other.example", 1, null])
      assert.deepEqual(
        read([jwk({ issuer })]).refusals.map(({ code }) => code),
        ["ERR_KEY_UNTRUSTED"],
        String(issuer),
      );
  });

  it("P1: a key of one tenant counts only where that tenant was declared", () => {
    const key = jwk({ issuer: ONE });
    const [found] = read([key], MANY, [TENANT_A]).keys;
    assert.deepEqual(found?.scope.tenants, { ids: [TENANT_A] });
    assert.equal(read([key], MANY, [TENANT_B]).keys.length, 0);
  });
});
