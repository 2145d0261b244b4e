import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseJsonObject } from "@redoubt/verify/json";
import { parseConfig } from "./config.ts";
import { Deployment } from "./testing/deployment.ts";

const GOOD = {
  ...new Deployment().config,
  http: { port: 7003, proxies: null, public: null },
  callers: ["operator", "issuer-a"],
};

function parse(changes: Record<string, unknown>): ReturnType<typeof parseConfig> {
  return parseConfig(Buffer.from(JSON.stringify({ ...GOOD, ...changes })));
}

describe("config", () => {
  it("reads the good one, from bytes and from an object", () => {
    const config = parse({ publisherUrl: "http://127.0.0.1:7000/" });
    assert.equal(config.publisherUrl, "http://127.0.0.1:7000");
    assert.equal(config.registry.vkey.name, config.registry.log);
    assert.equal(parseConfig(parseJsonObject(JSON.stringify(GOOD))).http.port, 7003);
  });

  it("keeps the webhook's secret out of whatever prints it", () => {
    const secret = `whsec_${Buffer.alloc(24, 3).toString("base64")}`;
    const { webhook } = parse({ webhook: { url: "https://h.example/x?y=1", secret } });
    assert.equal(webhook?.secret.reveal(), secret);
    assert.equal(JSON.stringify(webhook).includes(secret), false);
  });

  it("refuses each wrong member", () => {
    const vkey = parse({}).registry.vkey.name;
    const wrong: Record<string, unknown>[] = [
      { v: 2 },
      { http: { port: 65_536, proxies: null, public: null } },
      { registry: undefined },
      { registry: { ...Object(new Deployment().config["registry"]), log: `${vkey}x` } },
      { operator: "x" },
      { keyNumbers: { witness: 0 } },
      { keyNumbers: { token: 2 } },
      { operator: "a+00000000+AA==" },
      { callers: ["root"] },
      { callers: ["issuer-"] },
      { callers: ["operator", "operator"] },
      { publisherUrl: "ftp://x" },
      { publisherUrl: "http://u:p@x" },
      { publisherUrl: "http://x/?q" },
      { webhook: { url: "http://x", secret: "whsec_AA" } },
      { webhook: { url: "http://x" } },
      { unsafe: true },
    ];
    for (const changes of wrong)
      assert.throws(() => parse(changes), { code: "ERR_CONFIG" }, JSON.stringify(changes));
    assert.throws(() => parseConfig(Buffer.from("{")), { code: "ERR_CONFIG" });
  });

  it("reports everything at once", () => {
    assert.throws(
      () => parse({ http: {}, operator: 7, extra: 1 }),
      (error) =>
        error instanceof Error &&
        ["port", "operator", "extra"].every((word) => error.message.includes(word)),
    );
  });
});
