import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Secret } from "@redoubt/base";
import { loadSdk } from "./kms-api.ts";
import { checkOptions, DEFAULT_LIMITS, type AwsKmsOptions } from "./options.ts";

const OPTIONS: AwsKmsOptions = {
  region: "eu-central-1",
  ring: "consumer",
  credentials: { accessKeyId: "AKID", secretAccessKey: new Secret("x") },
};

function refuses(changes: Partial<AwsKmsOptions>): void {
  assert.throws(
    () => checkOptions({ ...OPTIONS, ...changes }),
    { name: "KeyError", code: "ERR_KEY_CUSTODY" },
    JSON.stringify(changes),
  );
}

describe("options of AWS KMS", () => {
  it("name the address of the region, whatever the environment says", () => {
    for (const [region, host] of [
      ["eu-central-1", "kms.eu-central-1.amazonaws.com"],
      ["us-gov-west-1", "kms.us-gov-west-1.amazonaws.com"],
      ["cn-north-1", "kms.cn-north-1.amazonaws.com.cn"],
    ] as const)
      assert.equal(checkOptions({ ...OPTIONS, region }).endpoint.href, `https://${host}/`);
    for (const region of ["us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "eusc-de-east-1"]) {
      refuses({ region });
      const endpoint = "https://kms.example";
      assert.equal(checkOptions({ ...OPTIONS, region, endpoint }).endpoint.origin, endpoint);
    }
  });

  it("refuse a region or ring that is none", () => {
    for (const region of [
      "",
      "eu-central",
      "eu central-1",
      "EU-central-1",
      "eu-central-1.evil",
      "x",
    ])
      refuses({ region });
    for (const ring of ["", "A", "a/b", "a b", "-a", "a-", "a".repeat(65), "ä", "a_b"])
      refuses({ ring });
    for (const ring of ["a", "a".repeat(64), "a-1"])
      assert.equal(checkOptions({ ...OPTIONS, ring }).ring, ring);
  });

  it("refuse an address in clear beyond loopback, and one that is more than an origin", () => {
    for (const endpoint of [
      "http://kms.eu-central-1.amazonaws.com",
      "http://127.0.0.1.example",
      "http://10.0.0.1",
      "ftp://127.0.0.1",
      "https://kms.example/path",
      "https://kms.example/?a",
      "https://user:pass@kms.example",
      "kms.example",
      "",
    ])
      refuses({ endpoint });
    for (const endpoint of [
      "https://vpce-1.kms.example",
      "https://kms.example:8443",
      "http://127.0.0.1:80",
      "http://localhost:8080",
      "http://[::1]:8080",
    ])
      checkOptions({ ...OPTIONS, endpoint });
  });

  it("keep each number within its bounds", () => {
    for (const deletionDays of [6, 31, 7.5, Number.NaN]) refuses({ deletionDays });
    for (const deletionDays of [7, 30])
      assert.equal(checkOptions({ ...OPTIONS, deletionDays }).deletionDays, deletionDays);
    for (const [name, min, max] of [
      ["maxConcurrent", 1, 1024],
      ["maxWaiting", 0, 65_536],
      ["maxAttempts", 1, 10],
      ["attemptTimeoutMs", 1, 60_000],
      ["callTimeoutMs", 1, 60_000],
    ] as const) {
      for (const value of [min - 1, max + 1, min + 0.5, Infinity])
        refuses({ limits: { [name]: value } });
      for (const value of [min, max])
        assert.deepEqual(checkOptions({ ...OPTIONS, limits: { [name]: value } }).limits, {
          ...DEFAULT_LIMITS,
          [name]: value,
        });
    }
  });
});

describe("loadSdk", () => {
  it("says what to install where the package does not load", async () => {
    const absent = "@redoubt/kms-aws-of-no-such-name";
    await assert.rejects(
      loadSdk(async () => import(absent)),
      {
        name: "KeyError",
        code: "ERR_KEY_MODULE",
        message: /npm install @aws-sdk\/client-kms@3\.1164\.0/,
      },
    );
  });
});
