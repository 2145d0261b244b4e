import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./config.ts";

describe("config of a front", () => {
  it("names the cluster's realm", () => {
    const { realm } = parseConfig(Buffer.from('{"v":1,"realm":"kubernetes-prod"}'));
    assert.equal(realm, "kubernetes-prod");
  });

  for (const config of [
    { v: 1 },
    { v: 1, realm: "../x" },
    { v: 1, realm: "x", port: 1 },
    { realm: "x" },
  ])
    it(`refuses ${JSON.stringify(config)}`, () => {
      assert.throws(() => parseConfig(config), { code: "ERR_CONFIG" });
    });
});
