import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { copyDatabase } from "./backup.ts";

/** Commits row after row to a database of 64 MiB, for ten seconds, and says when they begin. */
const WRITER = `
  const { DatabaseSync } = require("node:sqlite");
  const db = new DatabaseSync(process.argv[1]);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE entry (bytes BLOB)");
  const insert = db.prepare("INSERT INTO entry VALUES (randomblob(?))");
  for (let i = 0; i < 64; i += 1) insert.run(1024 * 1024);
  console.log("begun");
  for (const end = Date.now() + 10_000; Date.now() < end; ) insert.run(100);
`;

test("a database that another process writes to all the time is copied, as of one moment", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-copy-"));
  const [from, to] = [join(folder, "from.db"), join(folder, "to.db")];
  const writer = spawn(process.execPath, ["--eval", WRITER, from], { stdio: "pipe" });
  const closed = once(writer, "close");
  try {
    await once(writer.stdout, "data");
    await copyDatabase(from, to);
    using copy = new DatabaseSync(to, { readOnly: true });
    const row = copy
      .prepare("SELECT count(*) AS rows, max(length(bytes)) AS bytes FROM entry")
      .get();
    assert.ok(Number(row?.["rows"]) >= 64);
    assert.ok(writer.exitCode === null, "it waited for the writer to end");
    assert.equal(row?.["bytes"], 1024 * 1024);
  } finally {
    writer.kill("SIGKILL");
    await closed;
    rmSync(folder, { recursive: true });
  }
});
