import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fetchBounded, isSecureUrl } from "./bounded-fetch.ts";
import { withSite } from "./testing/site.ts";

describe("isSecureUrl()", () => {
  it("takes https, and http on loopback where that is allowed", () => {
    for (const [text, strict, loopback] of [
      ["https://id.example", true, true],
      ["http://id.example", false, false],
      ["http://127.0.0.1:8080", false, true],
      ["http://[::1]/", false, true],
      ["http://localhost/", false, true],
      ["http://localhost.example/", false, false],
      ["ftp://127.0.0.1/", false, false],
      ["ws://localhost/", false, false],
      ["https://user@id.example", false, false],
      ["https://:secret@id.example", false, false],
      ["http://:secret@127.0.0.1", false, false],
    ] as const) {
      const url = new URL(text);
      assert.deepEqual([isSecureUrl(url, false), isSecureUrl(url, true)], [strict, loopback], text);
    }
  });
});

describe("fetchBounded()", () => {
  const request = { fetch, maxBytes: 4, timeoutMs: 10_000, signal: new AbortController().signal };

  it("THREAT-26: reads at most the bound, on both sides", () =>
    withSite(async (site) => {
      const url = new URL(site.origin);
      site.handler = () => ({ body: "abcd" });
      assert.equal((await fetchBounded({ ...request, url })).body.length, 4);
      site.handler = () => ({ body: "abcde" });
      await assert.rejects(fetchBounded({ ...request, url }), RangeError);
      site.handler = () => ({ status: 204 });
      assert.deepEqual([...(await fetchBounded({ ...request, url })).body], []);
    }));

  it("THREAT-26: ends in time, or with its owner, when the server does not answer", () =>
    withSite(async (site) => {
      const url = new URL(site.origin);
      let release: (() => void) | undefined;
      site.handler = () =>
        new Promise((resolve) => {
          release = () => {
            resolve({});
          };
        });
      await assert.rejects(fetchBounded({ ...request, url, timeoutMs: 20 }), {
        name: "TimeoutError",
      });
      const owner = new AbortController();
      const pending = fetchBounded({ ...request, url, signal: owner.signal });
      owner.abort();
      await assert.rejects(pending, { name: "AbortError" });
      release?.();
    }));
});
