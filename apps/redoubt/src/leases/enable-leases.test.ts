import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig as parseBroker } from "@redoubt/broker";
import { parseConfig as parseGateway } from "@redoubt/custody-gateway/launch";
import { parseConfig as parseSigner } from "@redoubt/signer/launch";
import { backup } from "../backup.ts";
import { loopbackPlan } from "../init/init.ts";
import { REALMS, type Realm } from "../layout.ts";
import { changeConfig, readConfig } from "../recover/service-config.ts";
import { readSettings } from "../settings.ts";
import { openTerminal } from "../terminal.ts";
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

test("a crash at any step leaves no signer with an empty custody, a backup has the keys, and the next call finishes the work", async () => {
  await withFolder(async (folder) => {
    const keys = (realm: Realm) => [
      join(folder, `signer-${realm}`, "custody", "passphrase"),
      join(folder, `custody-${realm}`, "keys", "passphrase"),
    ];
    for (const realm of REALMS) writeFileSync(keys(realm)[0] ?? "", realm);
    // What stands in the way of the second realm's move: the crash is between the two.
    const blocked = join(folder, "signer-enterprise", "config.json.new");
    mkdirSync(blocked);
    await assert.rejects(enableLeases(folder, readSettings(folder), 0));
    const config = parseSigner(readConfig(folder, "signer-consumer"));
    assert.equal(config.custody.kind, "gateway");
    assert.deepEqual([...keys("consumer"), ...keys("enterprise")].map(existsSync), [
      false,
      true,
      true,
      false,
    ]);
    const copy = await copied(folder);
    assert.equal(
      readFileSync(join(copy, "custody-consumer", "keys", "passphrase"), "utf8"),
      "consumer",
    );
    assert.ok(existsSync(join(copy, "broker", "writer.key")));
    rmdirSync(blocked);
    await enableLeases(folder, readSettings(folder), 0);
    for (const realm of REALMS) assert.equal(readFileSync(keys(realm)[1] ?? "", "utf8"), realm);
    assert.deepEqual(readSettings(folder).broker?.realms, ["consumer", "enterprise"]);
  });
});

/** Where everything was copied to. */
async function copied(folder: string): Promise<string> {
  const copy = join(folder, "copy");
  const terminal = openTerminal(true, { out: () => undefined, err: () => undefined });
  await backup(
    {
      folder,
      typedIn: folder,
      json: true,
      terminal,
      questions: { input: process.stdin, output: process.stderr },
    },
    copy,
  );
  return copy;
}

/** Every file of a folder, and what it holds. */
function filesOf(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    lstatSync(join(folder, name)).isFile(),
  );
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "latin1")]));
}

test("a realm with two custodies is refused before anything is changed, whichever realm it is", async () => {
  for (const realm of REALMS)
    // One after the other: each has a folder of its own.
    await withFolder(async (folder) => {
      const to = join(folder, `custody-${realm}`, "keys");
      mkdirSync(to, { recursive: true, mode: 0o700 });
      for (const one of REALMS)
        writeFileSync(join(folder, `signer-${one}`, "custody", "passphrase"), "old");
      writeFileSync(join(to, "passphrase"), "other");
      const before = filesOf(folder);
      await assert.rejects(enableLeases(folder, readSettings(folder), 0), {
        code: "ERR_LEASES_CUSTODY",
        message: /two custodies/,
      });
      assert.deepEqual(filesOf(folder), before);
    });
});

test("keys on another file system are not moved by halves: nothing is changed", async (t) => {
  const other = mkdtempSync(join("/dev/shm", "redoubt-leases-"));
  try {
    await withFolder(async (folder) => {
      if (statSync(other).dev === statSync(folder).dev) {
        t.skip("/dev/shm and the folder of temporary files are one file system");
        return;
      }
      const custody = join(folder, "signer-enterprise", "custody");
      rmSync(custody, { recursive: true });
      writeFileSync(join(other, "passphrase"), "old");
      symlinkSync(other, custody);
      const before = filesOf(folder);
      await assert.rejects(enableLeases(folder, readSettings(folder), 0), {
        code: "ERR_LEASES_CUSTODY",
        message: /file systems/,
      });
      assert.deepEqual(filesOf(folder), before);
    });
  } finally {
    rmSync(other, { recursive: true });
  }
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
