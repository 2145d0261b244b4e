import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { isJsonObject, parseJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { NOW, type Claims } from "./testing/fixture.ts";
import { API, foreignToken, foreignVerifier, type Shape } from "./testing/foreign-issuer.ts";

const FILE = new URL("../../../../shared/vectors/verifier/third-party.json", import.meta.url);
const BASE = "https://issuer.example";
const ELSEWHERE = "https://keys.example";

/** The short declaration of each case: an issuer, a profile, and where something stands elsewhere, where. */
const DECLARATIONS: Readonly<Record<string, Claims>> = {
  "entra-v2": { profile: "entra" },
  "entra-v1": { profile: "entra", metadataUrl: wellKnown("/0a4f1c52-6f0e-4d7b-9c51-3f1f2b7d8a01") },
  "entra-multi-tenant": { profile: "entra", tenants: "any" },
  keycloak: { profile: "keycloak" },
  okta: { profile: "okta" },
  auth0: { profile: "auth0" },
  rfc9068: { profile: "rfc9068" },
  cognito: { profile: "cognito" },
  "google-id": { profile: "google", jwksOrigin: ELSEWHERE },
  kubernetes: { profile: "kubernetes" },
};

function wellKnown(path: string): string {
  return `${BASE}${path.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

/** `{base}` and NOW, wherever they stand. */
function filled(value: JsonValue): JsonValue {
  if (typeof value === "string") {
    const later = /^NOW(?:\+(\d+))?$/.exec(value);
    if (later) return NOW + Number(later[1] ?? 0);
    return value.replaceAll("{base}", BASE).replaceAll("{otherOrigin}", ELSEWHERE);
  }
  if (Array.isArray(value)) return value.map(filled);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item)]));
}

function text(test: JsonObject, name: string): string {
  const value = test[name];
  assert.ok(typeof value === "string", name);
  return value;
}

function member(test: JsonObject, name: string): JsonObject {
  const value = filled(test[name] ?? null);
  assert.ok(isJsonObject(value), name);
  return value;
}

function shapeOf(test: JsonObject): Shape {
  const name = text(test, "name");
  const metadata = member(test, "metadata");
  const claims = member(test, "claims");
  const { n: _, e: __, kty: ___, ...jwk } = member(test, "jwk");
  const basePath = text(test, "basePath");
  return {
    name,
    declaration: { issuer: text(metadata, "issuer"), profile: "rfc9068", ...DECLARATIONS[name] },
    metadataUrl: wellKnown(basePath),
    metadata,
    jwk,
    header: member(test, "header"),
    claims,
    audience: claims["aud"] === "c" || claims["aud"] === undefined ? "c" : API,
    tenant: typeof claims["tid"] === "string" ? claims["tid"] : null,
  };
}

describe("third-party issuers of the shared vectors", () => {
  it("each is taken by its short declaration", async (t) => {
    if (!existsSync(FILE)) return t.skip("the shared vectors are not on this machine");
    const { cases } = parseJsonObject(readFileSync(FILE));
    assert.ok(Array.isArray(cases));
    const tests = cases.filter(isJsonObject);
    assert.deepEqual(
      tests.map((test) => text(test, "name")).toSorted(),
      Object.keys(DECLARATIONS).toSorted(),
    );
    for (const test of tests)
      await t.test(text(test, "name"), async () => {
        const shape = shapeOf(test);
        const verifier = await foreignVerifier(shape);
        const { tenantId, payload } = verifier.verify(foreignToken(shape));
        assert.deepEqual([tenantId, payload.iss], [shape.tenant, shape.claims["iss"]]);
        verifier.close();
      });
  });
});
