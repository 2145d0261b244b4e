import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { enterRunning, openPlace } from "./running.ts";

test("where no data folder is, nothing runs, and the line says how to start it", async (t) => {
  const parent = mkdtempSync(join(tmpdir(), "redoubt-running-"));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  const folder = join(parent, "data");
  const expected = {
    code: "ERR_NOT_RUNNING",
    message: `Redoubt is not running on ${folder}: start it with npm start`,
  };
  assert.throws(() => openPlace(folder), expected);
  await assert.rejects(enterRunning(folder), expected);
  mkdirSync(folder, { mode: 0o700 });
  assert.throws(() => openPlace(folder), expected);
});

test("THREAT-32: a folder is checked before anything in it is read", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-running-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "up"), { mode: 0o755 });
  writeFileSync(join(folder, "up", "settings.json"), "not JSON", { mode: 0o644 });
  assert.throws(() => openPlace(folder), { code: "ERR_FILE_MODE" });
});
