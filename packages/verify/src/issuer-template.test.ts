import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isIssuerTemplate, matchIssuer } from "./issuer-template.ts";
import { TENANT_A, TENANT_B } from "./testing/fixture.ts";

describe("isIssuerTemplate()", () => {
  it("takes URLs with at most one place for the tenant", () => {
    for (const good of [
      "https://id.example",
      "https://id.example/{tenantid}/v2.0",
      "http://127.0.0.1:1/{tenantid}",
      "https://{tenantid}.id.example",
    ])
      assert.equal(isIssuerTemplate(good), true, good);
    for (const bad of [
      "",
      "id.example",
      "https://",
      "https://id.example/{tenantid}/{tenantid}",
      "https://id.example/{x}",
      "https://id.example/?q",
      "https://id.example/#f",
      "https://u@id.example",
      "https://id.example/\\x",
      "https://id.example/ x",
      "javascript:alert(1)",
      1,
      null,
    ])
      assert.equal(isIssuerTemplate(bad), false, String(bad));
  });
});

it("isIssuerTemplate() takes 512 characters and no more, and real URLs only", () => {
  const issuer = `https://id.example/${"a".repeat(493)}`;
  assert.equal(issuer.length, 512);
  assert.equal(isIssuerTemplate(issuer), true);
  assert.equal(isIssuerTemplate(`${issuer}a`), false);
  assert.equal(isIssuerTemplate("https://[x/"), false);
});

describe("matchIssuer()", () => {
  it("finds the tenant of a filled template", () => {
    const template = "https://id.example/{tenantid}/v2.0";
    assert.deepEqual(matchIssuer(template, `https://id.example/${TENANT_A}/v2.0`), {
      tenantId: TENANT_A,
    });
    assert.deepEqual(matchIssuer("https://id.example", "https://id.example"), { tenantId: null });
  });

  it("matches nothing else", () => {
    const template = "https://id.example/{tenantid}/v2.0";
    for (const issuer of [
      template,
      "https://id.example//v2.0",
      `https://id.example/${TENANT_A}/v2.0/`,
      `https://id.example/${TENANT_A.toUpperCase()}/v2.0`,
      `https://attacker.example/${TENANT_A}/v2.0`,
      `https://id.example/${TENANT_A}${TENANT_B}/v2.0`,
      `https://id.example/${TENANT_A}/v1.0`,
    ])
      assert.equal(matchIssuer(template, issuer), undefined, issuer);
    assert.equal(matchIssuer("https://id.example", "https://id.example/"), undefined);
  });
});
