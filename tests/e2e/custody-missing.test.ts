import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { canonicalBytes, writeDurable } from "@redoubt/base";
import { setUp } from "@redoubt/cli";
import { parseJsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "./free-ports.ts";
import { RedoubtProcess } from "./redoubt-process.ts";
import { redoubt } from "./system.ts";

const WAIT_MS = 25_000;

it("an HSM's module that is not there: the reason is told, the other realm works, nothing starts anew", async () => {
  const folder = mkdtempSync(join(tmpdir(), "rdt-none-"));
  const base = await freeBasePort();
  await setUp(folder, base, new Date());
  const path = join(folder, "signer-enterprise", "config.json");
  const module = join(folder, "none.so");
  const custody = { kind: "pkcs11", module, tokenLabel: "none", pinFile: "pin" };
  writeDurable(path, canonicalBytes({ ...parseJsonObject(readFileSync(path)), custody }));
  const up = new RedoubtProcess(["--data", folder, "up"], { isTied: true });
  try {
    const because = /signer-enterprise is not ready: ERR_KEY_MODULE: .*none\.so cannot be examined/;
    const shown = await poll(["--data", folder, "status"], (text) => because.test(text));
    assert.match(shown, /signer-consumer +ready/);
    // A supervisor that started it again and again would spend an HSM's tries for the PIN.
    assert.match(shown, /signer-enterprise +NOT READY +\d+ +0/);
    const keys = await redoubt(["--data", folder, "keys", "list"]);
    assert.match(keys.stdout, /consumer +active .*plain-file/);
    assert.match(keys.stderr, /realm enterprise does not answer: .*ERR_KEY_MODULE/);
    assert.match(up.stderr, /custody-trouble/);
  } finally {
    up.kill("SIGINT");
    await up.ended;
    rmSync(folder, { recursive: true });
  }
});

async function poll(args: readonly string[], isIt: (text: string) => boolean): Promise<string> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const { stdout, stderr } = await redoubt(args);
    if (isIt(stdout)) return stdout;
    if (performance.now() > deadline) return assert.fail(stdout + stderr);
    await pause(200);
  }
}
