import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mint, staticKey, verifierWith, type Claims } from "../testing/fixture.ts";
import type { VerifiedToken } from "../verified-token.ts";
import { requiredRoles, requiredScopes, rolesOf, scopesOf } from "./scopes.ts";

async function tokenWith(payload: Claims): Promise<VerifiedToken> {
  const verifier = await verifierWith([staticKey("ent-es256")]);
  return verifier.verify(mint({ payload }));
}

describe("scopes of a token", () => {
  const cases: readonly (readonly [string, Claims, readonly string[]])[] = [
    ["RFC 8693 §4.2: text with spaces", { scope: "a b" }, ["a", "b"]],
    ["scp as text", { scp: "a b" }, ["a", "b"]],
    ["scp as a list", { scp: ["a", "b"] }, ["a", "b"]],
    ["scope counts before scp", { scope: "a", scp: ["b"] }, ["a"]],
    ["a malformed scope does not make scp count", { scope: 1, scp: ["b"] }, []],
    ["none", {}, []],
    ["empty", { scope: "" }, []],
    ["a number", { scope: 1 }, []],
    ["true", { scope: true }, []],
    ["null", { scope: null }, []],
    ["an object", { scope: { a: true } }, []],
    ["scope as a list", { scope: ["a"] }, []],
    ["a list with a number", { scp: ["a", 1] }, []],
    ["a list in a list", { scp: [["a"]] }, []],
    ["an item with a space", { scp: ["a b"] }, []],
    ["a tab instead of a space", { scope: "a\tb" }, []],
    ["two spaces", { scope: "a  b" }, []],
    ["a letter beyond ASCII", { scope: "a \u00e9" }, []],
  ];
  for (const [name, payload, expected] of cases)
    it(name, async () => {
      assert.deepEqual([...scopesOf(await tokenWith(payload))], expected);
    });
});

describe("roles of a token", () => {
  it("roles is a list of strings or grants nothing", async () => {
    assert.deepEqual([...rolesOf(await tokenWith({ roles: ["a", "b c"] }))], ["a", "b c"]);
    for (const roles of ["a", 1, null, { 0: "a" }, ["a", 1], [["a"]], [""]])
      assert.equal(rolesOf(await tokenWith({ roles })).size, 0, JSON.stringify(roles));
  });

  it("Keycloak's roles count only where they are asked for", async () => {
    const token = await tokenWith({
      realm_access: { roles: ["r"] },
      resource_access: { orders: { roles: ["o"] }, mail: { roles: ["m"] } },
    });
    assert.deepEqual([...rolesOf(token)], []);
    assert.deepEqual([...rolesOf(token, "realm_access")], ["r"]);
    assert.deepEqual([...rolesOf(token, { client: "orders" })], ["o"]);
    for (const client of ["other", "constructor", "toString"])
      assert.equal(rolesOf(token, { client }).size, 0, client);
  });

  it("a place of another form grants nothing", async () => {
    for (const value of ["a", 1, null, ["a"], { roles: "a" }, { roles: { a: 1 } }]) {
      const token = await tokenWith({ realm_access: value, resource_access: { orders: value } });
      assert.equal(rolesOf(token, "realm_access").size, 0);
      assert.equal(rolesOf(token, { client: "orders" }).size, 0);
    }
  });
});

it("a demand for nothing, or for what no token can grant, is a mistake", () => {
  for (const scopes of [[], [""], ["a b"], ['"'], ["\u00e9"]])
    assert.throws(() => requiredScopes(scopes), TypeError);
  for (const roles of [[], [""]]) assert.throws(() => requiredRoles(roles), TypeError);
  assert.throws(() => requiredRoles(["a"], { client: "" }), TypeError);
  const untyped: {
    requiredScopes(scopes: unknown): unknown;
    requiredRoles(roles: unknown, source?: unknown): unknown;
  } = { requiredScopes, requiredRoles };
  for (const names of ["a", { length: 1 }, null]) {
    assert.throws(() => untyped.requiredScopes(names), /scopes: expected/);
    assert.throws(() => untyped.requiredRoles(names), /roles: expected/);
  }
  for (const source of [null, "x", {}, 1])
    assert.throws(() => untyped.requiredRoles(["a"], source), /roleSource: expected/);
  assert.deepEqual(requiredRoles(["a"], "realm_access").roleSource, "realm_access");
});
