import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startIn } from "./own-system.ts";

test("a system that does not start is said, and no process stays", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-drill-test-"));
  try {
    writeFileSync(join(folder, "something"), "that is no data folder");
    await assert.rejects(startIn(folder, 20_000), { code: "ERR_DRILL_START" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
