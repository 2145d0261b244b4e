import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { normalHttpUrl } from "./url-normal-form.ts";

describe("normalHttpUrl()", () => {
  // RFC 3986 §6.2.2, §6.2.3; RFC 9449 §4.3 check 9.
  for (const [what, text, expected] of [
    ["the form itself", "https://api.example/a", "https://api.example/a"],
    ["case of scheme and host", "HTTPS://API.Example/A", "https://api.example/A"],
    ["an empty path", "https://api.example", "https://api.example/"],
    ["an empty path before a query", "https://api.example?a", "https://api.example/"],
    ["query and fragment", "https://api.example/a?b=/../#c?d", "https://api.example/a"],
    ["a query as browsers send it", 'https://api.example/a?b={"c":[|]}', "https://api.example/a"],
    ["default port of https", "https://api.example:443/", "https://api.example/"],
    ["default port of http", "http://api.example:80/", "http://api.example/"],
    ["an empty port", "https://api.example:/", "https://api.example/"],
    ["a port with zeros", "https://api.example:0443/", "https://api.example/"],
    ["another port", "https://api.example:8443/", "https://api.example:8443/"],
    ["the other scheme's port", "https://api.example:80/", "https://api.example:80/"],
    ["an IPv6 host", "http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a"],
    ["case of percent-encodings", "https://a.example/%c3%a4", "https://a.example/%C3%A4"],
    ["encoded unreserved characters", "https://a.example/%7E%61%2D", "https://a.example/~a-"],
    ["encoded reserved characters stay", "https://a.example/%2f%3F", "https://a.example/%2F%3F"],
    ["an encoding of an encoding", "https://a.example/%2561", "https://a.example/%2561"],
    ["dot segments", "https://a.example/a/./b/../c", "https://a.example/a/c"],
    ["encoded dot segments", "https://a.example/a/%2e%2E/c", "https://a.example/c"],
    ["dots above the root", "https://a.example/../../c", "https://a.example/c"],
    ["a dot at the end", "https://a.example/a/.", "https://a.example/a/"],
    ["two dots at the end", "https://a.example/a/b/..", "https://a.example/a/"],
    ["RFC 3986 §5.2.4", "https://a.example/a/b/c/./../../g", "https://a.example/a/g"],
    ["empty segments stay", "https://a.example//a//", "https://a.example//a//"],
    ["three dots are a name", "https://a.example/...", "https://a.example/..."],
  ])
    it(`${what}`, () => {
      assert.equal(normalHttpUrl(text ?? ""), expected);
    });

  it("knows no other URLs", () => {
    for (const text of [
      "",
      "/a",
      "api.example/a",
      "ftp://api.example/",
      "https:api.example",
      "https:///a",
      "https://",
      "https://user@api.example/",
      "https://user:secret@api.example/",
      "https://api.example:123456/",
      "https://api.example:1a/",
      "https://api.example\\@evil.example/",
      "https://api.example/a\\b",
      "https://api.example/a b",
      " https://api.example/",
      "https://api.example/\n",
      "https://api.example/?\n",
      "https://api.example/%",
      "https://api.example/%4",
      "https://api.example/%zz",
      "https://api.example/ä",
      "https://exämple.example/",
      "https://%61pi.example/",
      "https://[::1/",
      "https://[api.example]/",
      `https://api.example/${"a".repeat(8192)}`,
    ])
      assert.equal(normalHttpUrl(text), undefined, text);
  });

  it("is a fixed point, and the platform's reader agrees about origin and path", () => {
    const segment = fc.stringMatching(/^(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2}){0,6}$/);
    fc.assert(
      fc.property(
        fc.constantFrom("http", "https", "HTTP"),
        fc.constantFrom("api.example", "API.example:443", "a.example:80", "[::1]:8080"),
        fc.array(segment, { maxLength: 6 }),
        (scheme, host, segments) => {
          const text = `${scheme}://${host}/${segments.join("/")}`;
          const normal = normalHttpUrl(text);
          assert.ok(normal !== undefined);
          assert.equal(normalHttpUrl(normal), normal);
          const { origin, pathname } = new URL(text);
          assert.equal(normalHttpUrl(origin + pathname), normal);
        },
      ),
      { numRuns: 500 },
    );
  });
});
