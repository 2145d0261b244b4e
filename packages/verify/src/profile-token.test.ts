import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { checkIssuers } from "./discovery-options.ts";
import type { ProfiledIssuer } from "./discovery-options.ts";
import type { JsonObject } from "./json.ts";
import { readKeySet } from "./key-set.ts";
import {
  checkForeignToken,
  checkIdToken,
  readForeignHeader,
  type ForeignCheck,
  type IdTokenExpectation,
} from "./profile-token.ts";
import { isTenantId } from "./tenant.ts";
import { NOW, TENANT_A, TENANT_B } from "./testing/fixture.ts";
import { testKey } from "./testing/keys.ts";
import { outcome } from "./testing/outcome.ts";
import type { VerifierPolicy } from "./verifier-options.ts";

const MANY = "https://login.example/{tenantid}/v2.0";
const ONE = MANY.replace("{tenantid}", TENANT_A);
const CLAIM = "ERR_JWT_CLAIM_VALIDATION_FAILED";
const SCOPE = "ERR_KEY_SCOPE";

/** A key of a declared issuer, at `NOW`. */
function checkOf(declaration: ProfiledIssuer, rule?: ForeignCheck["rule"]): ForeignCheck {
  const [issuer] = checkIssuers({ issuers: [declaration] });
  assert.ok(issuer);
  const jwk = { ...testKey("ent-rs256").publicJwk, kid: "k1", issuer: declaration.issuer };
  const [key] = readKeySet(Buffer.from(JSON.stringify({ keys: [jwk] })), issuer, []).keys;
  assert.ok(key?.declaration);
  return { key, profile: key.declaration.profile, rule, nowMs: NOW * 1000 };
}

const ENTRA = checkOf({ issuer: ONE, profile: "entra" });
const CLAIMS = { iss: ONE, tid: TENANT_A, sub: "s", iat: NOW, exp: NOW + 600 };

describe("checkIdToken()", () => {
  const expected: IdTokenExpectation = { clientId: "client-1", nonce: "n-1" };
  const good = { ...CLAIMS, aud: "client-1", nonce: "n-1" };

  function result(changes: JsonObject, more: Partial<IdTokenExpectation> = {}): unknown {
    const payload = { ...good, ...changes };
    return outcome(() => checkIdToken(payload, { ...expected, ...more }, 60, ENTRA));
  }

  it("OpenID Connect Core §3.1.3.7: is for this client, and answers this request", () => {
    assert.equal(checkIdToken(good, expected, 60, ENTRA), TENANT_A);
    for (const changes of [{}, { aud: ["client-1"] }, { azp: "client-1" }])
      assert.equal(result(changes), "valid");
    for (const [changes, part] of [
      [{ aud: "client-2" }, "aud"],
      [{ aud: ["client-1", "client-2"] }, "aud"],
      [{ aud: [] }, "aud"],
      [{ aud: ["client-1", ""] }, "aud"],
      [{ aud: 1 }, "aud"],
      [{ aud: Array.from({ length: 65 }, () => "client-1") }, "aud"],
      [{ azp: "client-2" }, "azp"],
      [{ azp: null }, "azp"],
      [{ nonce: "n-2" }, "nonce"],
      [{ sub: "" }, "sub"],
      [{ sub: 1 }, "sub"],
      [{ iat: NOW + 61 }, "iat"],
    ] as const)
      assert.deepEqual(result(changes), [CLAIM, part], JSON.stringify(changes));
    assert.deepEqual(result({ iss: MANY }), [SCOPE, "issuer"]);
    assert.equal(result({ aud: Array.from({ length: 64 }, () => "client-1") }), "valid");
  });

  it("has no nonce where none was sent", () => {
    const { nonce: _nonce, ...bare } = good;
    const asking = { ...expected, nonce: null };
    assert.equal(checkIdToken(bare, asking, 60, ENTRA), TENANT_A);
    assert.deepEqual(result({}, { nonce: null }), [CLAIM, "nonce"]);
    assert.deepEqual(
      outcome(() => checkIdToken(bare, expected, 60, ENTRA)),
      [CLAIM, "nonce"],
    );
  });

  it("§3.1.3.6: names the access token that came with it", () => {
    const accessToken = "access-token";
    const left = hash("sha256", accessToken, "buffer").subarray(0, 16).toString("base64url");
    assert.equal(result({ at_hash: left }, { accessToken }), "valid");
    assert.equal(result({ at_hash: "x" }), "valid");
    for (const changes of [{}, { at_hash: "x" }, { at_hash: hash("sha256", accessToken) }])
      assert.deepEqual(result(changes, { accessToken }), [CLAIM, "at_hash"]);
  });

  it("has the claims of the profile", () => {
    const keycloak = checkOf({ issuer: ONE, profile: "keycloak" });
    const idToken = { ...good, typ: "ID" };
    assert.equal(checkIdToken(idToken, expected, 60, keycloak), null);
    assert.deepEqual(
      outcome(() => checkIdToken({ ...idToken, typ: "Bearer" }, expected, 60, keycloak)),
      [CLAIM, "typ"],
    );
  });
});

describe("checkForeignToken()", () => {
  const policy: VerifierPolicy = {
    audiences: new Set(["api://orders"]),
    rules: undefined,
    reporter: undefined,
    requiredClaims: [],
    clockToleranceSeconds: 60,
    maxTokenLength: 16_384,
    clientId: undefined,
    binding: { dpop: undefined, mtls: false, required: false },
    cacheMax: 0,
    cacheMaxBytes: 1,
    now: Date.now,
  };
  const good = { ...CLAIMS, aud: "api://orders" };

  function result(
    changes: JsonObject,
    more: Partial<VerifierPolicy> = {},
    check: ForeignCheck = ENTRA,
  ): unknown {
    return outcome(() => checkForeignToken({ ...good, ...changes }, { ...policy, ...more }, check));
  }

  it("has the claims that the service requires, and is of its client", () => {
    assert.equal(result({}), "valid");
    assert.equal(
      result({ scp: "a", azp: "c" }, { requiredClaims: ["scp"], clientId: "c" }),
      "valid",
    );
    assert.deepEqual(result({}, { requiredClaims: ["scp"] }), [CLAIM, "scp"]);
    for (const changes of [{}, { azp: "d" }, { appid: "d" }, { azp: "d", appid: "c" }])
      assert.deepEqual(result(changes, { clientId: "c" }), [CLAIM, "azp"]);
  });

  it("RFC 8725 §3.9: is for this service; without an audience, for its client", () => {
    for (const aud of ["api://mail", ["api://orders", "api://mail"], [], "", undefined])
      assert.deepEqual(result(aud === undefined ? { aud: null } : { aud }), [CLAIM, "aud"]);
    const own = { audiences: null, clientId: "c" };
    assert.equal(result({ aud: "else", azp: "c" }, own), "valid");
    for (const aud of [[], [""], 1])
      assert.deepEqual(result({ aud, azp: "c" }, own), [CLAIM, "aud"]);
    const keycloak = checkOf({ issuer: ONE, profile: "keycloak" });
    const ofRealm = { typ: "Bearer", aud: ["api://orders", "account"] };
    assert.equal(result(ofRealm, {}, keycloak), "valid");
    assert.deepEqual(result({ ...ofRealm, aud: "account" }, {}, keycloak), [CLAIM, "aud"]);
    const cognito = checkOf({ issuer: ONE, profile: { base: "cognito", clientClaims: ["azp"] } });
    const ofClient = { token_use: "access", client_id: "c", azp: "c" };
    assert.equal(result(ofClient, own, cognito), "valid");
    assert.deepEqual(result({ ...ofClient, client_id: "d" }, own, cognito), [CLAIM, "client_id"]);
  });

  it("P1: is of a tenant of the key, of the declaration and of the accept rule", () => {
    for (const tid of ["", 1, null]) assert.deepEqual(result({ tid }), [CLAIM, "tid"]);
    assert.deepEqual(result({ tid: TENANT_B }), [SCOPE, "tenant"]);
    const rule = { issuer: ONE, realm: "external", tenants: new Set<never>() };
    assert.deepEqual(result({}, {}, { ...ENTRA, rule }), [SCOPE, "tenant"]);
    assert.ok(isTenantId(TENANT_A));
    for (const tenants of ["any", new Set([TENANT_A])] as const)
      assert.equal(result({}, {}, { ...ENTRA, rule: { ...rule, tenants } }), "valid");
    const many = checkOf({ issuer: MANY, profile: "entra", tenants: [TENANT_A] });
    assert.equal(result({}, {}, many), "valid");
    const other = { tid: TENANT_B, iss: MANY.replace("{tenantid}", TENANT_B) };
    assert.deepEqual(result(other, {}, many), [SCOPE, "tenant"]);
    assert.deepEqual(result({ iss: other.iss }, {}, many), [SCOPE, "issuer"]);
    assert.deepEqual(result({ tid: "x" }, {}, many), [CLAIM, "tid"]);
  });

  it("names its issuer in full, where the profile does not say otherwise", () => {
    const bare = ONE.replace("https://", "");
    assert.deepEqual(result({ iss: bare }), [SCOPE, "issuer"]);
    assert.deepEqual(result({ iss: 1 }), [CLAIM, "iss"]);
    const google = checkOf({ issuer: "https://accounts.google.com", profile: "google" });
    for (const iss of ["accounts.google.com", "https://accounts.google.com"])
      assert.equal(result({ iss }, {}, google), "valid");
    assert.deepEqual(result({ iss: "http://accounts.google.com" }, {}, google), [SCOPE, "issuer"]);
  });

  it("RFC 7519 §2: lives between times that are numbers", () => {
    for (const [changes, part] of [
      [{ iat: "x" }, "iat"],
      [{ iat: -1 }, "iat"],
      [{ exp: 2 ** 53 }, "exp"],
      [{ exp: NOW + 86_401 }, "exp"],
      [{ exp: NOW }, "exp"],
      [{ nbf: -1 }, "nbf"],
      [{ nbf: NOW + 61 }, "nbf"],
    ] as const)
      assert.deepEqual(result(changes), [CLAIM, part], JSON.stringify(changes));
    for (const changes of [
      { iat: NOW + 60 },
      { nbf: NOW + 60 },
      { exp: NOW + 86_400 },
      { iat: NOW - 600, exp: NOW - 59 },
    ])
      assert.equal(result(changes), "valid", JSON.stringify(changes));
    const over = { iat: NOW - 600, exp: NOW - 60 };
    assert.deepEqual(result(over), ["ERR_JWT_EXPIRED", "exp"]);
  });
});

describe("readForeignHeader()", () => {
  it("needs a kid that names a key", () => {
    for (const kid of [undefined, "", 1, null])
      assert.deepEqual(
        outcome(() => readForeignHeader({ alg: "RS256", ...(kid !== undefined && { kid }) })),
        ["ERR_TOKEN_HEADER", "kid"],
      );
  });
});
