import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig as parseBroker } from "@redoubt/broker";
import { parseConfig as parseGateway } from "@redoubt/custody-gateway/launch";
import { parseConfig as parseSigner } from "@redoubt/signer/launch";
import { loopbackPlan } from "../init/init.ts";
import { REALMS } from "../layout.ts";
import { changeConfig, readConfig } from "../recover/service-config.ts";
import { readSettings } from "../settings.ts";
import { commandOf } from "../up/launch.ts";
import { setUp } from "../up/set-up.ts";
import { enableLeases } from "./enable-leases.ts";

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-leases-"));
  try {
    await setUp(folder, loopbackPlan(20_000), new Date(0));
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("leases are put before the keys of both realms, and doing it again changes nothing", async () => {
  await withFolder(async (folder) => {
    const needs = { environment: { SOFTHSM2_CONF: "/etc/hsm.conf" }, reads: ["/var/hsm"] };
    const hsm = { kind: "pkcs11", module: "/lib/hsm.so", tokenLabel: "t", pinFile: "/pin" };
    changeConfig(folder, "signer-enterprise", (config) => ({
      ...config,
      custody: hsm,
      custodyNeeds: needs,
    }));
    await enableLeases(folder, readSettings(folder), 0);
    const { enrolled } = parseBroker(readConfig(folder, "broker"));
    assert.equal(new Set(enrolled.map(({ akName }) => akName)).size, 2);
    assert.deepEqual(
      enrolled.map(({ signer }) => signer),
      REALMS.map((realm) => `signer-${realm}`),
    );
    const files = ["broker", "custody-enterprise", "signer-enterprise", "ledger", "monitor"].map(
      (service) => join(folder, service, "config.json"),
    );
    changeConfig(folder, "broker", (config) => ({ ...config, enrolled: [] }));
    const before = files.map((file) => readFileSync(file, "utf8"));
    await enableLeases(folder, readSettings(folder), 0);
    assert.deepEqual(
      files.map((file) => readFileSync(file, "utf8")),
      before,
    );
    const gateway = parseGateway(readConfig(folder, "custody-enterprise"));
    assert.equal(gateway.custody.kind, "pkcs11");
    assert.deepEqual(gateway.custodyNeeds, needs);
    const signer = parseSigner(readConfig(folder, "signer-enterprise"));
    assert.deepEqual(signer.custody, { kind: "gateway", holds: "pkcs11" });
    assert.deepEqual(signer.custodyNeeds, { environment: {}, reads: [] });
    const broker = parseBroker(readConfig(folder, "broker"));
    assert.deepEqual(broker.realms[1], { realm: "enterprise", signer: "signer-enterprise" });
    assert.deepEqual(broker.enrolled, []);
  });
});

test("a signer may reach what vouches for its machine, and broker and gateway by their sockets", async () => {
  await withFolder(async (folder) => {
    await enableLeases(folder, readSettings(folder), 0);
    const soft = commandOf("signer-consumer", folder).args;
    for (const place of ["broker", "custody-consumer"])
      assert.ok(
        soft.includes(`--allow-fs-read=${join(folder, place, "s", "signer-consumer")}`),
        place,
      );
    const attester = {
      kind: "tpm",
      platform: "tpm2",
      device: "/dev/tpmrm0",
      eventLog: "/sys/kernel/security/tpm0/binary_bios_measurements",
    };
    changeConfig(folder, "signer-consumer", (config) => ({
      ...config,
      lease: { ...Object(config["lease"]), attester },
    }));
    const { args } = commandOf("signer-consumer", folder);
    assert.ok(args.includes("--allow-fs-write=/dev/tpmrm0"));
    assert.ok(args.includes(`--allow-fs-read=${attester.eventLog}`));
    assert.equal(args.includes(`--allow-fs-write=${attester.eventLog}`), false);
  });
});

test("a crash at any step leaves no signer with an empty custody, and the next call finishes the work", async () => {
  await withFolder(async (folder) => {
    const [from, to] = [
      join(folder, "signer-consumer", "custody"),
      join(folder, "custody-consumer", "keys"),
    ];
    writeFileSync(join(from, "passphrase"), "old");
    // What stands in the way of the last step: the crash is before it.
    mkdirSync(to, { recursive: true, mode: 0o700 });
    writeFileSync(join(to, "passphrase"), "other");
    await assert.rejects(enableLeases(folder, readSettings(folder), 0), {
      code: "ERR_LEASES_CUSTODY",
    });
    const signer = parseSigner(readConfig(folder, "signer-consumer"));
    assert.equal(signer.custody.kind, "gateway");
    assert.equal(readFileSync(join(from, "passphrase"), "utf8"), "old");
    assert.equal(readFileSync(join(to, "passphrase"), "utf8"), "other");
    rmSync(join(to, "passphrase"));
    await enableLeases(folder, readSettings(folder), 0);
    assert.equal(readFileSync(join(to, "passphrase"), "utf8"), "old");
    assert.deepEqual(readSettings(folder).broker?.realms, ["consumer", "enterprise"]);
  });
});

test("keys in a cloud's custody have no gateway yet, and nothing is changed", async () => {
  await withFolder(async (folder) => {
    changeConfig(folder, "signer-consumer", (config) => ({
      ...config,
      custody: { kind: "aws-kms", region: "eu-central-1" },
    }));
    await assert.rejects(enableLeases(folder, readSettings(folder), 0), {
      code: "ERR_LEASES_CUSTODY",
    });
    assert.equal(readSettings(folder).broker, undefined);
  });
});
