import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkIssuers } from "./discovery-options.ts";
import { TENANT_A } from "./testing/fixture.ts";

const untyped: { checkIssuers(options: unknown): unknown } = { checkIssuers };
const ISSUER = "https://id.example";
const RING = { issuer: ISSUER, realm: "enterprise", ring: "A".repeat(43) };
const ENTRA = { issuer: `https://login.example/${TENANT_A}/v2.0`, profile: "entra" };
const MANY = { ...ENTRA, issuer: "https://login.example/{tenantid}/v2.0", tenants: "any" };

function refuses(issuers: unknown, message: RegExp): void {
  assert.throws(
    () => untyped.checkIssuers({ issuers }),
    (error) => error instanceof TypeError && message.test(error.message),
    `${JSON.stringify(issuers)}: ${String(message)}`,
  );
}

describe("checkIssuers()", () => {
  it("takes a list of objects", () => {
    assert.equal(checkIssuers({ issuers: [RING] }).length, 1);
    for (const issuers of [undefined, "issuer", { length: 1 }, []])
      refuses(issuers, /^issuers: expected at least one$/);
    for (const entry of [null, undefined, "issuer", 1])
      refuses([RING, entry], /^issuers\[1\]: not an object$/);
  });

  it("refuses another origin of the key set that is no https origin", () => {
    for (const jwksOrigin of ["http://id.example", "https://id.example/path", "id.example", ""])
      for (const entry of [RING, ENTRA])
        refuses([{ ...entry, jwksOrigin }], /jwksOrigin: expected/);
  });

  it("names what is wrong in a declaration", () => {
    const metadataUrl = "https://login.example/metadata";
    for (const entry of [ENTRA, MANY, { ...ENTRA, metadataUrl }, { ...ENTRA, tenants: ["a"] }])
      untyped.checkIssuers({ issuers: [entry] });
    const names = Array.from({ length: 1001 }, (_, i) => `tenant-${i}`);
    for (const [entry, message] of [
      [{ ...ENTRA, issuers: [] }, /unknown member issuers$/],
      [{ ...ENTRA, issuer: undefined }, /issuer: expected https/],
      [{ ...ENTRA, metadataUrl, issuer: "http://login.example" }, /issuer: expected https/],
      [{ ...ENTRA, realm: "A realm" }, /realm: not a realm name/],
      [{ ...ENTRA, metadataUrl: new URL(metadataUrl) }, /metadataUrl: expected an https URL/],
      [{ ...ENTRA, metadataUrl: "login.example" }, /metadataUrl: expected an https URL/],
      [{ ...ENTRA, jwksUrl: "http://login.example" }, /jwksUrl: expected an https URL/],
      [{ ...MANY, profile: "rfc9068" }, /metadataUrl: must be said/],
      [{ ...ENTRA, tenants: "a" }, /tenants: expected "any" or 1 to 1000 names/],
      [{ ...ENTRA, tenants: [] }, /tenants: expected "any" or 1 to 1000 names/],
      [{ ...ENTRA, tenants: names }, /tenants: expected "any" or 1 to 1000 names/],
      [{ ...ENTRA, tenants: ["a", ""] }, /tenants: expected names/],
      [{ ...ENTRA, tenants: ["a", 1] }, /tenants: expected names/],
      [{ ...MANY, tenants: [TENANT_A.toUpperCase()] }, /tenants: expected "any" or lower-case/],
      [{ ...MANY, tenants: undefined }, /tenants: expected "any" or lower-case/],
    ] as const)
      refuses([entry], message);
  });
});
