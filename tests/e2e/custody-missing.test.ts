import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { canonicalBytes, writeDurable } from "@redoubt/base";
import { loopbackPlan, setUp } from "@redoubt/cli";
import { NO_SOFTHSM, SOFTHSM_MODULE } from "@redoubt/custody/testing/softhsm";
import { parseJsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "./free-ports.ts";
import { RedoubtProcess } from "./redoubt-process.ts";
import { redoubt } from "./system.ts";
import { until } from "./until.ts";

const what = "the reason is told, the other realm works, nothing starts anew";
it(`an HSM's module that is not there: ${what}`, { skip: NO_SOFTHSM }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "rdt-none-"));
  const base = await freeBasePort();
  await setUp(folder, loopbackPlan(base), new Date());
  const path = join(folder, "signer-enterprise", "config.json");
  const module = join(folder, "none.so");
  const custody = { kind: "pkcs11", module, tokenLabel: "none", pinFile: "pin" };
  writeDurable(path, canonicalBytes({ ...parseJsonObject(readFileSync(path)), custody }));
  const up = new RedoubtProcess(["--data", folder, "up"], { isTied: true });
  try {
    const because = /signer-enterprise is not ready: ERR_KEY_MODULE: .*none\.so cannot be examined/;
    const { stdout: shown } = await until(
      "one signer is ready, and the other says why it is not",
      () => redoubt(["--data", folder, "status"]),
      ({ stdout }) => because.test(stdout) && /signer-consumer +ready/.test(stdout),
    );
    // A supervisor that started it again and again would spend an HSM's tries for the PIN.
    assert.match(shown, /signer-enterprise +NOT READY +\d+ +0/);
    const keys = await until(
      "the other realm's key is listed",
      () => redoubt(["--data", folder, "keys", "list"]),
      ({ stdout }) => /consumer +active .*plain-file/.test(stdout),
    );
    assert.match(keys.stderr, /realm enterprise does not answer: .*ERR_KEY_MODULE/);
    await until(
      "the start says what it waits for",
      () => up.stderr,
      (text) =>
        /^Waiting for .*signer-enterprise \(ERR_KEY_MODULE.*serves already.*ledger/m.test(text),
    );
    await until(
      "the supervisor tells of it",
      () => up.stderr,
      (text) => text.includes("custody-trouble"),
    );
    // The permission to load native code is kept until there is a module; then the next thing that lacks is told.
    copyFileSync(SOFTHSM_MODULE, module);
    const next =
      /signer-enterprise is not ready: ERR_KEY_CUSTODY: .*: pin cannot be read: expected/;
    const { stdout: later } = await until(
      "the module is loaded without a new start",
      () => redoubt(["--data", folder, "status"]),
      ({ stdout }) => next.test(stdout),
    );
    assert.match(later, /signer-enterprise +NOT READY +\d+ +0/);
  } finally {
    up.kill("SIGINT");
    await up.ended;
    rmSync(folder, { recursive: true });
  }
});
