import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readPrivateFile } from "@redoubt/base";
import { parseConfig } from "@redoubt/signer";
import { REALMS } from "../layout.ts";
import { loopbackPlan } from "../init/init.ts";
import { setUp } from "./set-up.ts";

/** Design note 0013: tokens per CPU-second of all processes together. */
const CAPACITY = 7456;

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
