import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isKeyId, issuerFor, parseKeyRecord } from "./record.ts";
import { outcome } from "./testing/outcome.ts";
import { recordBytes, recordFields, TENANT_A } from "./testing/fixture.ts";
import { recordCases } from "./testing/record-cases.ts";
import { TrustError } from "./trust-error.ts";
import { decodeBase64url } from "./base64url.ts";

describe("parseKeyRecord()", () => {
  it("reads every member and computes the kid from the exact bytes", () => {
    const fields = recordFields("ent-es256");
    const bytes = recordBytes(fields);
    const record = parseKeyRecord(bytes);
    assert.deepEqual(record, { ...fields, kid: hash("sha256", bytes, "base64url") });
    assert.equal(isKeyId(record.kid), true);
  });

  it("gives another kid to every other scope", () => {
    const kids = [
      {},
      { realm: "consumer" },
      { audiences: "any" },
      { verifyUntil: 2_000_000_000 },
    ].map((changes) => parseKeyRecord(recordBytes(recordFields("ent-es256", changes))).kid);
    assert.equal(new Set(kids).size, 4);
  });

  it("P1: refuses each record that is incomplete, wider than said, or in another form", () => {
    let refused = 0;
    for (const { name, record, code, result } of recordCases()) {
      if (code === "ERR_KEY_UNTRUSTED") continue;
      const found = outcome(() => parseKeyRecord(decodeBase64url(record)));
      assert.deepEqual(found, result === "valid" ? "valid" : [code, undefined], name);
      if (result === "invalid") refused += 1;
    }
    assert.equal(refused > 70, true);
  });

  it("a text is no list of one text", () => {
    for (const name of ["log", "realm", "issuer"]) {
      const { [name]: text } = recordFields("ent-es256");
      assert.throws(
        () => parseKeyRecord(recordBytes(recordFields("ent-es256", { [name]: [text] }))),
        { code: "ERR_RECORD_MEMBER", member: name },
      );
    }
  });

  it("names the member that is at fault", () => {
    for (const name of ["realm", "tenants", "audiences", "v", "publicKey", "maxLifetimeSeconds"])
      assert.throws(
        () => parseKeyRecord(recordBytes(recordFields("ent-es256", { [name]: undefined }))),
        { name: "TrustError", code: "ERR_RECORD_MEMBER", member: name },
      );
  });

  it("throws nothing but TrustError for any bytes, and for any change of one byte", () => {
    const good = recordBytes(recordFields("ent-es256"));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        assert.throws(() => parseKeyRecord(bytes), TrustError);
      }),
    );
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Buffer.from(good);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        const { kid } = parseKeyRecord(good);
        try {
          assert.notEqual(parseKeyRecord(bytes).kid, kid);
        } catch (error) {
          assert.equal(error instanceof TrustError, true, String(error));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("bounds the size of a record", () => {
    const wide = recordFields("ent-es256", { log: "l".repeat(300_000) });
    assert.deepEqual(
      outcome(() => parseKeyRecord(recordBytes(wide))),
      ["ERR_RECORD_FORM", undefined],
    );
  });
});

describe("issuerFor()", () => {
  it("fills the template with the tenant, where it has a place for it", () => {
    const issuer = "https://id.example/{tenantid}/v2.0";
    assert.equal(issuerFor({ issuer }, TENANT_A), `https://id.example/${TENANT_A}/v2.0`);
    assert.equal(issuerFor({ issuer: "https://id.example" }, TENANT_A), "https://id.example");
  });

  it("refuses what is no tenant id", () => {
    for (const tenant of ["", "$&", TENANT_A.toUpperCase(), `${TENANT_A}/..`])
      assert.throws(
        () => issuerFor({ issuer: "https://id.example/{tenantid}" }, tenant),
        RangeError,
      );
  });
});

describe("isKeyId()", () => {
  it("tells the form of a kid of ours", () => {
    assert.deepEqual(
      [
        "A".repeat(43),
        "A".repeat(42),
        "A".repeat(44),
        `${"A".repeat(42)}+`,
        1,
        ["A".repeat(43)],
      ].map(isKeyId),
      [true, false, false, false, false, false],
    );
  });
});
