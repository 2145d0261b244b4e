import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseGoogleKmsConfig } from "./config.ts";

const LEAST = {
  kind: "google-kms",
  keyRing: "projects/redoubt-tokens/locations/europe-west3/keyRings/enterprise",
  ring: "enterprise",
};
const wrong = { name: "KeyError", code: "ERR_KEY_CUSTODY" };

describe("parseGoogleKmsConfig", () => {
  it("reads the least that is needed, and all that may be said", () => {
    const { kind: _kind, ...least } = LEAST;
    assert.deepEqual(parseGoogleKmsConfig(LEAST), least);
    const more = {
      unsafeSoftwareKeys: true,
      endpoint: "kms.internal:8443",
      roots: "-----BEGIN CERTIFICATE-----",
      unsafeLoopbackPort: 9000,
      limits: { maxWaiting: 64 },
    };
    assert.deepEqual(parseGoogleKmsConfig({ ...LEAST, ...more }), { ...least, ...more });
  });

  it("refuses each member that is absent, and one that nobody knows", () => {
    for (const name of Object.keys(LEAST)) {
      const rest = Object.fromEntries(Object.entries(LEAST).filter(([key]) => key !== name));
      assert.throws(() => parseGoogleKmsConfig(rest), wrong, name);
    }
    for (const extra of [
      { keyFilename: "x" },
      { kind: "aws-kms" },
      { limits: { maxEverything: 1 } },
      { limits: { maxAttempts: 0 } },
      { unsafeSoftwareKeys: "yes" },
      { unsafeLoopbackPort: 65_536 },
    ])
      assert.throws(() => parseGoogleKmsConfig({ ...LEAST, ...extra }), wrong);
  });

  it("refuses what openGoogleKmsCustodian would refuse", () => {
    for (const extra of [{ keyRing: "enterprise" }, { ring: "A" }, { endpoint: "https://kms" }])
      assert.throws(() => parseGoogleKmsConfig({ ...LEAST, ...extra }), wrong);
  });
});
