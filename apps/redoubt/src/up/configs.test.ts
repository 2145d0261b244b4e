import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readPrivateFile } from "@redoubt/base";
import { parseConfig as parsePresence } from "@redoubt/presence-service";
import { parseConfig } from "@redoubt/signer";
import { REALMS, SERVICES, servicesOf } from "../layout.ts";
import { loopbackPlan } from "../init/init.ts";
import { extentOf } from "../settings.ts";
import { checkDataFolder } from "./data-folder.ts";
import { setUp } from "./set-up.ts";

/** Design note 0013: tokens per CPU-second of all processes together. */
const CAPACITY = 7456;

test("THREAT-20: the ceremony page's configuration is one that it reads, with an origin of its own", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-configs-"));
  try {
    await setUp(folder, loopbackPlan(8080), new Date());
    const config = parsePresence(readPrivateFile(join(folder, "presence", "config.json")));
    assert.deepEqual(config, {
      http: { port: 8085, proxies: null, public: null },
      rpId: "localhost",
      origin: "http://localhost:8085",
      callers: ["operator", "issuer-consumer", "issuer-enterprise"],
    });
    checkDataFolder(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a data folder that was made before there was a ceremony page is whole without it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-configs-"));
  try {
    const { presence: _, ...plan } = loopbackPlan(8080);
    await setUp(folder, plan, new Date());
    const settings = checkDataFolder(folder);
    assert.equal(settings.presence, undefined);
    assert.equal(existsSync(join(folder, "presence")), false);
    assert.deepEqual(servicesOf(extentOf(settings)), SERVICES);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("THREAT-36: one client's budget leaves half of a core to the others", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-configs-"));
  try {
    await setUp(folder, loopbackPlan(8080), new Date());
    for (const realm of REALMS) {
      const path = join(folder, `signer-${realm}`, "config.json");
      const { budget } = parseConfig(readPrivateFile(path));
      assert.ok(budget.perSecond > 0 && budget.perSecond <= CAPACITY / 2, realm);
      assert.ok(budget.burst >= budget.perSecond && budget.burst <= CAPACITY / 2, realm);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
