import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { protectedResourceMetadata } from "./resource-metadata.ts";

const authorizationServers = ["https://id.example/t1"];

describe("protected resource metadata", () => {
  const places = [
    ["https://api.example", "/.well-known/oauth-protected-resource"],
    ["https://api.example/", "/.well-known/oauth-protected-resource"],
    ["https://api.example/orders", "/.well-known/oauth-protected-resource/orders"],
    ["https://api.example:8443/a/b/", "/.well-known/oauth-protected-resource/a/b/"],
    ["http://127.0.0.1:8080", "/.well-known/oauth-protected-resource"],
  ] as const;
  for (const [resource, path] of places)
    it(`RFC 9728 §3.1: ${resource}`, () => {
      const made = protectedResourceMetadata({ resource, authorizationServers });
      assert.equal(made.path, path);
      assert.equal(made.url, new URL(resource).origin + path);
      assert.equal(made.document.resource, resource);
    });

  it("RFC 9728 §2: the document", () => {
    const { document } = protectedResourceMetadata({
      resource: "https://api.example",
      authorizationServers,
      scopes: ["a"],
      name: "Orders",
      documentation: "https://docs.example",
    });
    assert.deepEqual(document, {
      resource: "https://api.example",
      authorization_servers: authorizationServers,
      bearer_methods_supported: ["header"],
      scopes_supported: ["a"],
      resource_name: "Orders",
      resource_documentation: "https://docs.example",
    });
  });

  it("what clients could not compare or reach is refused", () => {
    for (const resource of [
      "",
      "api.example",
      "http://api.example",
      "https://api.example/#a",
      "https://api.example/?a",
      "https://user@api.example",
      "https://API.example",
      "https://api.example/a/../b",
      "https://api.example/\u00e9",
    ])
      assert.throws(
        () => protectedResourceMetadata({ resource, authorizationServers }),
        TypeError,
        resource,
      );
    const resource = "https://api.example";
    for (const servers of [[], ["http://id.example"], [""]])
      assert.throws(
        () => protectedResourceMetadata({ resource, authorizationServers: servers }),
        TypeError,
      );
    const untyped: { describe(options: unknown): unknown } = {
      describe: protectedResourceMetadata,
    };
    for (const servers of [undefined, "https://id.example", { length: 1 }])
      assert.throws(
        () => untyped.describe({ resource, authorizationServers: servers }),
        /authorizationServers: expected at least one/,
      );
    for (const more of [{ scopes: ["a b"] }, { scope: ["a"] }])
      assert.throws(
        () => protectedResourceMetadata({ resource, authorizationServers, ...more }),
        TypeError,
      );
  });
});
