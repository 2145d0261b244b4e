import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { parseConfig } from "../config.ts";
import { Deployment } from "../testing/deployment.ts";
import { PLAIN_FILES } from "@redoubt/custody";
import { custodyLabel, custodyLaunch } from "./custody-settings.ts";

const PKCS11 = {
  kind: "pkcs11",
  module: "/usr/lib/softhsm/libsofthsm2.so",
  tokenLabel: "redoubt-enterprise",
  pinFile: "hsm/pin",
};
const AZURE = {
  kind: "azure-keyvault",
  identity: { kind: "workload-identity", tokenFilePath: "/var/run/token" },
};

async function configOf(members: JsonObject) {
  await using deployment = new Deployment();
  return parseConfig({ ...deployment.config, ...members });
}

async function launchOf(members: JsonObject) {
  return custodyLaunch(await configOf(members), "/data");
}

function variables(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`HSM_${i}`, "x"]));
}

describe("custody in a signer's configuration", () => {
  it("is plain files where nothing is said, and needs nothing", async () => {
    const config = await configOf({});
    assert.deepEqual(config.custody, PLAIN_FILES);
    assert.deepEqual(custodyLaunch(config, "/data"), { environment: {}, reads: [], addons: false });
  });

  const labels = [
    [{ kind: "file", passphrase: "beside" }, "plain-file"],
    [{ kind: "file", passphraseFile: "/secret/pass" }, "sealed-file"],
    [PKCS11, "pkcs11"],
    [AZURE, "kms"],
    [{ kind: "aws-kms" }, "kms"],
    [{ kind: "google-kms" }, "kms"],
  ] as const;
  for (const [custody, label] of labels)
    it(`${JSON.stringify(custody).slice(0, 50)} is labelled ${label}`, async () => {
      assert.equal(custodyLabel((await configOf({ custody })).custody), label);
    });

  it("a launcher lets through what custody names, from where the process runs, and what is listed", async () => {
    const environment = { SOFTHSM2_CONF: "/data/hsm/softhsm2.conf", UV_THREADPOOL_SIZE: "8" };
    const custodyNeeds = { environment, reads: ["more", "/etc/hsm"] };
    assert.deepEqual(await launchOf({ custody: PKCS11, custodyNeeds }), {
      environment,
      reads: [PKCS11.module, "/data/hsm/pin", "/data/more", "/etc/hsm"],
      addons: true,
    });
    assert.deepEqual((await launchOf({ custody: AZURE })).reads, ["/var/run/token"]);
    const sealed = { kind: "file", passphraseFile: "/secret/pass" };
    assert.deepEqual((await launchOf({ custody: sealed })).reads, ["/secret/pass"]);
  });

  it("native code is allowed for an HSM only", async () => {
    for (const custody of [AZURE, { kind: "aws-kms" }, { kind: "google-kms" }])
      assert.equal((await launchOf({ custody })).addons, false);
  });

  const refused: readonly (readonly [JsonObject, RegExp])[] = [
    [{ custody: { kind: "tape" } }, /kind must be one of/],
    [{ custody: { ...PKCS11, module: "libsofthsm2.so" } }, /module must be/],
    [{ custody: { ...PKCS11, slot: 1 } }, /unknown member slot/],
    [{ custodyNeeds: { inherit: true } }, /unknown member inherit/],
    [{ custodyNeeds: { environment: { A: 1 } } }, /A must be a string/],
    [{ custodyNeeds: { environment: { A: "a\0b" } } }, /A must be a string/],
    [{ custodyNeeds: { environment: { "A B": "x" } } }, /A B is not for custody to set/],
    [{ custodyNeeds: { reads: [1] } }, /reads must/],
    ...[
      "NODE_OPTIONS",
      "NODE_EXTRA_CA_CERTS",
      "LD_PRELOAD",
      "LD_LIBRARY_PATH",
      "OPENSSL_CONF",
      "SSL_CERT_FILE",
      "UV_USE_IO_URING",
      "PATH",
      "ld_preload",
    ].map(
      (name) =>
        [
          { custodyNeeds: { environment: { [name]: "x" } } },
          new RegExp(`${name} is not for custody to set`),
        ] as const,
    ),
  ];
  for (const [members, message] of refused)
    it(`refuses ${JSON.stringify(members)}`, async () => {
      await assert.rejects(configOf(members), (error) => {
        assert.ok(error instanceof ServiceError && error.code === "ERR_CONFIG");
        assert.match(error.message, message);
        return true;
      });
    });

  it("32 variables are taken, 33 are not", async () => {
    const environment = variables(32);
    assert.deepEqual((await launchOf({ custodyNeeds: { environment } })).environment, environment);
    await assert.rejects(configOf({ custodyNeeds: { environment: variables(33) } }), {
      code: "ERR_CONFIG",
    });
  });
});
