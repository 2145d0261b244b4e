import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { digestOfUnsigned, type Asked } from "./unsigned-token.ts";

const ASKED: Asked = {
  tenant: "11111111-2222-4333-8444-555555555555",
  client: "app-1",
  audience: "api://one",
  scope: "read",
  ttlSeconds: 600,
};
const HEADER = { alg: "ES256", kid: "k", typ: "at+jwt" };
const CLAIMS = {
  iss: "https://login.test/t/v2.0",
  sub: ASKED.client,
  aud: ASKED.audience,
  exp: 1600,
  iat: 1000,
  tid: ASKED.tenant,
  client_id: ASKED.client,
  scope: "read",
};

function segment(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function input(claims: object = CLAIMS, header: object = HEADER): string {
  return `${segment(header)}.${segment(claims)}`;
}

describe("THREAT-28: what a signer committed and did not sign", () => {
  it("counts where it is exactly what was asked for", () => {
    assert.equal(digestOfUnsigned(input(), ASKED), hash("sha256", input(), "base64url"));
    const { scope: _, ...without } = CLAIMS;
    const digest = digestOfUnsigned(input(without), { ...ASKED, scope: undefined });
    assert.equal(digest, hash("sha256", input(without), "base64url"));
  });

  const other: readonly object[] = [
    { sub: "user-1" },
    { aud: "api://two" },
    { aud: [ASKED.audience] },
    { tid: "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee" },
    { client_id: "app-2" },
    { scope: "write" },
    { scope: undefined },
    { exp: 1601 },
    { exp: 1000 },
    { exp: "1600" },
    { iat: undefined },
    { roles: ["admin"] },
    { act: { sub: "user-1" } },
  ];
  for (const change of other)
    it(`does not with ${JSON.stringify(change)}`, () => {
      assert.equal(digestOfUnsigned(input({ ...CLAIMS, ...change }), ASKED), undefined);
    });

  it("does not as another kind of token, as a signed one, or as no token", () => {
    const unsigned = [
      input(CLAIMS, { ...HEADER, typ: "JWT" }),
      `${input()}.AAAA`,
      `${input()} `,
      "",
      undefined,
      7,
      `${segment(HEADER)}.${Buffer.from("[]").toString("base64url")}`,
      input({ ...CLAIMS, more: "x".repeat(16_384) }),
    ];
    for (const one of unsigned) assert.equal(digestOfUnsigned(one, ASKED), undefined);
  });

  it("THREAT-26: throws nothing, whatever it is given", () => {
    const segments = fc.oneof(
      fc.string(),
      fc.json().map((json) => Buffer.from(json).toString("base64url")),
    );
    fc.assert(
      fc.property(segments, segments, (header, payload) => {
        assert.equal(digestOfUnsigned(`${header}.${payload}`, ASKED), undefined);
      }),
    );
  });
});
