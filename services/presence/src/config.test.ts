import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./config.ts";

const CONFIG = {
  v: 1,
  http: { port: 7405, proxies: null, public: null },
  rpId: "example.org",
  origin: "https://approve.example.org",
  callers: ["operator", "issuer-enterprise"],
};

test("a configuration is read", () => {
  const { v: _, ...rest } = CONFIG;
  assert.deepEqual(parseConfig(CONFIG), rest);
  for (const origin of ["https://example.org", "https://a.b.example.org:8443"])
    assert.equal(parseConfig({ ...CONFIG, origin }).origin, origin);
  assert.equal(
    parseConfig({ ...CONFIG, rpId: "localhost", origin: "http://localhost:7405" }).rpId,
    "localhost",
  );
});

test("each single change is refused, by name", () => {
  for (const [change, problem] of [
    [{ rpId: "other.org" }, /rpId must be the host/],
    [{ rpId: "xample.org" }, /rpId must be the host/],
    [{ rpId: "" }, /rpId/],
    [{ origin: "http://approve.example.org" }, /origin/],
    [{ origin: "https://approve.example.org/" }, /origin/],
    [{ callers: [] }, /callers/],
    [{ callers: ["signer-enterprise"] }, /callers/],
    [{ callers: ["operator", "drill"] }, /callers/],
    [{ http: { port: 7405, proxies: null } }, /public/],
    [{ key: "k" }, /key/],
  ] as const)
    assert.throws(() => parseConfig({ ...CONFIG, ...change }), {
      code: "ERR_CONFIG",
      message: problem,
    });
});
