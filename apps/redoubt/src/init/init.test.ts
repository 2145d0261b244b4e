import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig as parseSigner } from "@redoubt/signer/launch";
import type { JsonObject } from "@redoubt/verify/json";
import { readConfig } from "../recover/service-config.ts";
import { readSettings } from "../settings.ts";
import { checkDataFolder } from "../up/data-folder.ts";
import { createSystem, loopbackPlan } from "./init.ts";

const AWS = { kind: "aws-kms", region: "eu-central-1" } as const;

interface Made {
  readonly parent: string;
  readonly folder: string;
  readonly isLeased: boolean;
}

async function made(
  { leases, custody = {} }: { readonly leases: boolean; readonly custody?: JsonObject },
  look: (made: Made) => void,
): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), "redoubt-init-"));
  try {
    const folder = join(parent, "data");
    const plan = { ...loopbackPlan(20_000), custody: { consumer: {}, enterprise: custody } };
    look({ parent, folder, isLeased: await createSystem(folder, plan, { leases }) });
  } finally {
    rmSync(parent, { recursive: true });
  }
}

test("P5: a new system has its keys behind gateways before there is any key", async () => {
  await made({ leases: true }, ({ parent, folder, isLeased }) => {
    assert.equal(isLeased, true);
    assert.deepEqual(readdirSync(parent), ["data"]);
    checkDataFolder(folder);
    assert.deepEqual(readSettings(folder).broker?.realms, ["consumer", "enterprise"]);
    const { custody, lease } = parseSigner(readConfig(folder, "signer-enterprise"));
    assert.deepEqual(custody, { kind: "gateway", holds: "plain-file" });
    assert.ok(lease);
    assert.ok(existsSync(join(folder, "custody-enterprise", "config.json")));
  });
});

test("who wants no leases, or has keys in a cloud for any realm, gets none", async () => {
  for (const choice of [{ leases: false }, { leases: true, custody: { custody: AWS } }])
    // oxlint-disable-next-line no-await-in-loop -- each has a folder of its own
    await made(choice, ({ folder, isLeased }) => {
      assert.equal(isLeased, false);
      checkDataFolder(folder);
      assert.equal(readSettings(folder).broker, undefined);
      assert.equal(readConfig(folder, "signer-consumer")["lease"], undefined);
    });
});

test("a custody that cannot be read is said to be that, and nothing is made", async () => {
  const parent = mkdtempSync(join(tmpdir(), "redoubt-init-"));
  try {
    const wrong = { custody: { kind: "pkcs12" } };
    const plan = { ...loopbackPlan(20_000), custody: { consumer: wrong, enterprise: wrong } };
    await assert.rejects(createSystem(join(parent, "data"), plan, { leases: true }), {
      code: "ERR_CONFIG",
      message: /custody/,
    });
    assert.deepEqual(readdirSync(parent), []);
  } finally {
    rmSync(parent, { recursive: true });
  }
});
