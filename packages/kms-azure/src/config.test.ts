import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAzureKeyVaultConfig } from "./config.ts";

const ID = "11111111-2222-4333-8444-555555555555";
const LEAST = {
  kind: "azure-keyvault",
  vaultUrl: "https://redoubt-tokens.vault.azure.net",
  ring: "enterprise",
  identity: { kind: "managed-identity" },
};
const WORKLOAD = {
  kind: "workload-identity",
  tenantId: ID,
  clientId: ID,
  tokenFilePath: "/var/run/secrets/token",
};
const wrong = { name: "KeyError", code: "ERR_KEY_CUSTODY" };

describe("parseAzureKeyVaultConfig", () => {
  it("reads the least that is needed, and all that may be said", () => {
    const { kind: _kind, ...least } = LEAST;
    assert.deepEqual(parseAzureKeyVaultConfig(LEAST), least);
    const more = {
      identity: WORKLOAD,
      unsafeSoftwareKeys: true,
      roots: "-----BEGIN CERTIFICATE-----",
      limits: { maxConcurrent: 8, callTimeoutMs: 4000 },
    };
    assert.deepEqual(parseAzureKeyVaultConfig({ ...LEAST, ...more }), { ...least, ...more });
  });

  it("refuses each member that is absent, and one that nobody knows", () => {
    for (const name of Object.keys(LEAST)) {
      const rest = Object.fromEntries(Object.entries(LEAST).filter(([key]) => key !== name));
      assert.throws(() => parseAzureKeyVaultConfig(rest), wrong, name);
    }
    for (const name of Object.keys(WORKLOAD)) {
      const rest = Object.fromEntries(Object.entries(WORKLOAD).filter(([key]) => key !== name));
      assert.throws(() => parseAzureKeyVaultConfig({ ...LEAST, identity: rest }), wrong, name);
    }
    for (const extra of [
      { clientSecret: "x" },
      { kind: "google-kms" },
      { limits: { maxEverything: 1 } },
      { limits: { maxConcurrent: 0 } },
      { unsafeSoftwareKeys: "yes" },
      { identity: { kind: "environment" } },
      { identity: { ...WORKLOAD, clientSecret: "x" } },
      { identity: { kind: "managed-identity", clientId: "nobody" } },
    ])
      assert.throws(() => parseAzureKeyVaultConfig({ ...LEAST, ...extra }), wrong);
  });

  it("refuses what openAzureKeyVaultCustodian would refuse", () => {
    for (const extra of [{ vaultUrl: "https://vault.example" }, { ring: "A" }])
      assert.throws(() => parseAzureKeyVaultConfig({ ...LEAST, ...extra }), wrong);
  });
});
