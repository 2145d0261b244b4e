import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isPreflight, parseCredentials, type RequestFacts } from "./credentials.ts";

const PREFLIGHT: RequestFacts = {
  method: "OPTIONS",
  url: "/orders",
  headers: { origin: "https://shop.example", "access-control-request-method": "GET" },
};

function kindOf(url: string): string {
  return parseCredentials({ method: "GET", url, headers: {} }).kind;
}

describe("parseCredentials()", () => {
  it("finds a token in the query, and takes nothing else for one", () => {
    for (const url of [
      "/?access_token=a",
      "/orders?a&access_token",
      "https://a.example/?access_token=a",
    ])
      assert.equal(kindOf(url), "malformed", url);
    for (const url of ["/orders&access_token=a", "access_token=a", "/access_token?a=access_token"])
      assert.equal(kindOf(url), "none", url);
  });
});

describe("isPreflight()", () => {
  it("is true for OPTIONS with both headers of the browser, once each", () => {
    assert.equal(isPreflight(PREFLIGHT), true);
    for (const change of [
      { method: "GET" },
      { headers: { ...PREFLIGHT.headers, origin: undefined } },
      { headers: { ...PREFLIGHT.headers, "access-control-request-method": undefined } },
      { headers: { ...PREFLIGHT.headers, origin: ["https://a.example", "https://b.example"] } },
    ])
      assert.equal(isPreflight({ ...PREFLIGHT, ...change }), false, JSON.stringify(change));
  });
});
