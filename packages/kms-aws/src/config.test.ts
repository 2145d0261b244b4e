import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAwsKmsConfig } from "./config.ts";

const LEAST = {
  kind: "aws-kms",
  region: "eu-central-1",
  ring: "enterprise",
  credentials: "default-chain",
};

function read(config: Record<string, string | number | null>) {
  return parseAwsKmsConfig(config);
}

describe("parseAwsKmsConfig", () => {
  it("reads the least that is needed, and all that may be said", () => {
    const { kind: _kind, ...least } = LEAST;
    assert.deepEqual(read(LEAST), least);
    const more = { endpoint: "https://vpce-1.kms.example", deletionDays: 30 };
    assert.deepEqual(read({ ...LEAST, ...more }), { ...least, ...more });
  });

  it("refuses each member that is absent, and one that nobody knows", () => {
    for (const name of Object.keys(LEAST)) {
      const rest = Object.entries(LEAST).filter(([key]) => key !== name);
      assert.throws(() => read(Object.fromEntries(rest)), { code: "ERR_KEY_CUSTODY" }, name);
    }
    for (const extra of [{ secretAccessKey: "x" }, { limits: null }, { kind: "gcp-kms" }])
      assert.throws(() => read({ ...LEAST, ...extra }), { code: "ERR_KEY_CUSTODY" });
  });

  it("refuses what openAwsKmsCustodian would refuse", () => {
    for (const extra of [{ region: "nowhere" }, { ring: "A" }, { endpoint: "http://kms.example" }])
      assert.throws(() => read({ ...LEAST, ...extra }), { code: "ERR_KEY_CUSTODY" });
    for (const deletionDays of [6, 31])
      assert.throws(() => read({ ...LEAST, deletionDays }), { code: "ERR_KEY_CUSTODY" });
  });
});
