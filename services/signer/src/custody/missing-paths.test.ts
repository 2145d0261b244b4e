import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { canonicalBytes, writeDurable } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { NO_SOFTHSM, SOFTHSM_MODULE } from "@redoubt/custody/testing/softhsm";
import { Deployment, TIMES, WANTED } from "../testing/deployment.ts";

const MAIN = join(import.meta.dirname, "../main.ts");

/** Starts the signer as a launcher does, until it ends. */
async function run(deployment: Deployment, custody: JsonObject) {
  const { root, service, folder, config } = deployment;
  writeDurable(join(folder, "config.json"), canonicalBytes({ ...config, custody }));
  const child = spawn(process.execPath, [MAIN, service], {
    cwd: root,
    env: {},
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 20_000,
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

describe("what custody's configuration names and is not there ends a start with one line", () => {
  const pkcs11 = { kind: "pkcs11", module: SOFTHSM_MODULE, tokenLabel: "t" };
  const cases: readonly (readonly [string, JsonObject, RegExp, string | false])[] = [
    ["the PIN file", { ...pkcs11, pinFile: "pin" }, /: pin cannot be read: expected /, NO_SOFTHSM],
    ["its folder", { ...pkcs11, pinFile: "hsm/pin" }, /: hsm\/pin cannot be read: /, NO_SOFTHSM],
    [
      "the passphrase file",
      { kind: "file", passphraseFile: "away/passphrase" },
      /: away\/passphrase cannot be read: expected a file of mode 0600 /,
      false,
    ],
    [
      "the folder of sealed keys",
      { kind: "file", passphrase: "beside" },
      /: signer-enterprise\/custody is not there: expected the 0700 folder of sealed keys/,
      false,
    ],
  ];
  for (const [what, custody, line, skip] of cases)
    it(what, { skip }, async () => {
      await using deployment = new Deployment();
      rmSync(join(deployment.folder, "custody"), { recursive: true });
      const { code, stdout, stderr } = await run(deployment, custody);
      assert.equal(code, 1);
      assert.match(stderr, line);
      assert.match(stderr, /^signer-enterprise: [^\n]+\n$/);
      assert.match(stdout, /"event":"stopped_by_error","code":"ERR_KEY_FILE"/);
    });
});

it("THREAT-05: a folder of sealed keys that goes while the signer runs is custody that is away, and comes back", async () => {
  await using deployment = await Deployment.start();
  const signer = await deployment.openReady({ custodian: undefined });
  const { clock, events, ledger } = deployment;
  const folder = join(deployment.folder, "custody");
  clock.forward(TIMES.prepublishSeconds);
  await signer.tick();
  const { size } = ledger.registry;
  renameSync(folder, `${folder}.away`);
  for (let seconds = 0; events.count("custody_trouble") === 0; seconds += 1) {
    assert.ok(seconds < 100, "never told");
    clock.forward(1);
    await signer.tick().catch(() => undefined);
    await new Promise(setImmediate);
  }
  assert.match(
    String(Reflect.get(await signer.status(), "reason")),
    /^ERR_KEY_FILE: .*custody is not there: expected the 0700 folder/,
  );
  assert.equal(Reflect.get(await signer.status(), "ready"), false);
  // No key is taken for lost, and what is in memory signs.
  assert.equal(ledger.registry.size, size);
  for (let request = 0; request < 10; request += 1) {
    await deployment.client().request(WANTED);
    clock.forward(1);
    await signer.tick().catch(() => undefined);
  }
  assert.deepEqual([events.count("custody_trouble"), events.count("custody_back")], [1, 0]);
  renameSync(`${folder}.away`, folder);
  const isReady = async () => Reflect.get(await signer.status(), "ready") === true;
  for (let seconds = 0; !(await isReady()); seconds += 1) {
    assert.ok(seconds < 30, "never back");
    clock.forward(1);
    await signer.tick().catch(() => undefined);
    await new Promise(setImmediate);
  }
  await events.named("custody_back");
  assert.equal(ledger.registry.size, size);
});
