import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { nowSeconds, systemClock } from "@redoubt/base";
import { createSocketPlace, socketPlace } from "@redoubt/wire";
import {
  assertionOf,
  collect,
  connectTo,
  passkey,
  RP_ID,
  show,
  statementAt,
} from "./testing/presence.ts";

const SERVICE = import.meta.dirname;
const REPOSITORY = join(SERVICE, "..", "..", "..");

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : assert.fail();
}

/** With the permissions that the supervisor gives it, which are those of its own folder. */
function start(root: string) {
  const readable = ["packages", "services/presence", "node_modules"];
  return spawn(
    process.execPath,
    [
      "--permission",
      ...readable.map((folder) => `--allow-fs-read=${join(REPOSITORY, folder)}`),
      `--allow-fs-read=${join(root, "presence")}`,
      `--allow-fs-write=${join(root, "presence")}`,
      "--no-experimental-sqlite",
      join(SERVICE, "main.ts"),
    ],
    { cwd: root, stdio: ["ignore", "ignore", "inherit", "ipc"] },
  );
}

test("the process by itself: one socket, one page, one approval, and an end in order", async () => {
  const root = mkdtempSync(join(tmpdir(), "presence-"));
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  mkdirSync(join(root, "presence"), { mode: 0o700 });
  createSocketPlace(socketPlace(root, "presence", "operator"));
  const config = {
    v: 1,
    http: { port, proxies: null, public: null },
    rpId: RP_ID,
    origin,
    callers: ["operator"],
  };
  writeFileSync(join(root, "presence", "config.json"), JSON.stringify(config), { mode: 0o600 });
  const child = start(root);
  try {
    await once(child, "message");
    await using operator = connectTo(root, "operator");
    const statement = statementAt(nowSeconds(systemClock), { origin });
    const { id, url } = await show(operator, statement);
    assert.equal(url, `${origin}/${id}`);
    const page = await fetch(`http://127.0.0.1:${port}/${id}`);
    assert.match(await page.text(), new RegExp(statement.code));
    const waiting = collect(operator, id, 20_000);
    const answer = await fetch(`http://127.0.0.1:${port}/${id}/assertion`, {
      method: "POST",
      headers: { "content-type": "application/json", origin },
      body: JSON.stringify(assertionOf(passkey(), statement, {}, origin)),
    });
    assert.equal(answer.status, 200);
    assert.equal((await waiting).state, "collected");
  } finally {
    const ended = once(child, "exit");
    child.disconnect();
    assert.deepEqual(await ended, [0, null]);
    rmSync(root, { recursive: true, force: true });
  }
});
