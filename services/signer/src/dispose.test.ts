import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { until } from "@redoubt/testkit";
import { parseConfig } from "./config.ts";
import { readState } from "./log/state-file.ts";
import { Deployment, refusalOf, WANTED } from "./testing/deployment.ts";

const never = () => new Promise<never>(() => undefined);
/** Shorter than any time in which a request or a connection is given up. */
const LIMIT_MS = 4000;

/** Closes at once, whatever it was waiting for. */
async function assertCloses(closing: AsyncDisposable): Promise<void> {
  const start = performance.now();
  await closing[Symbol.asyncDispose]();
  assert.ok(performance.now() - start < LIMIT_MS);
}

describe("an end in order", () => {
  for (const op of ["wait", "registry", "state", "append", "openLog", "proveGrowth"])
    it(`while the ledger never answers ${op}`, async () => {
      await using deployment = await Deployment.start();
      const { ledger } = deployment;
      let isHanging = false;
      ledger.misbehave = (call, honest) => {
        if (call.op !== op) return honest();
        isHanging = true;
        return never();
      };
      const signer = await deployment.open();
      if (op === "proveGrowth") isHanging = true;
      await until(() => isHanging);
      await assertCloses(signer);
    });

  it("while a commit is never answered: who waits is refused, nothing is signed", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger, custodian } = deployment;
    const { signed } = custodian;
    ledger.misbehave = (call, honest) => (call.op === "commit" ? never() : honest());
    const asked = Promise.all([1, 2, 3].map(() => refusalOf(deployment.client().request(WANTED))));
    await until(() => ledger.commits().length > 0);
    await assertCloses(signer);
    for (const code of await asked) assert.match(code, /ERR_SIGNER_LOG|ERR_WIRE_CLOSED/);
    assert.equal(custodian.signed, signed);
  });

  it("while it sends again what the ledger refuses", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger } = deployment;
    ledger.misbehave = (call, honest) =>
      call.op === "commit" ? { head: { checkpoint: 1 } } : honest();
    const asked = refusalOf(deployment.client().request(WANTED));
    await until(() => ledger.commits().length > 2);
    await assertCloses(signer);
    assert.match(await asked, /ERR_SIGNER_LOG|ERR_WIRE_CLOSED/);
  });

  it("with neither ledger nor monitor there, and twice", async () => {
    await using deployment = new Deployment();
    const signer = await deployment.open();
    await assertCloses(signer);
    await assertCloses(signer);
  });

  for (const [service, file] of [
    ["ledger", "secret"],
    ["monitor", "secret"],
  ] as const)
    it(`a start without the ${service}'s ${file} fails, and leaves nothing open`, async () => {
      await using deployment = await Deployment.start();
      rmSync(join(deployment.root, service, "s", deployment.service, file));
      assert.equal(await refusalOf(deployment.open()), "ENOENT");
    });

  it("THREAT-32: a folder that others may enter is refused", async () => {
    await using deployment = await Deployment.start();
    chmodSync(deployment.folder, 0o750);
    assert.equal(await refusalOf(deployment.open()), "ERR_FILE_MODE");
    chmodSync(deployment.folder, 0o700);
    chmodSync(deployment.place("issuer").folder, 0o755);
    assert.equal(await refusalOf(deployment.open()), "ERR_FILE_MODE");
  });

  it("keeps what it saw, for the next start to refuse less", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    await deployment.client().request(WANTED);
    await signer[Symbol.asyncDispose]();
    const path = join(deployment.folder, "state.json");
    const config = parseConfig(deployment.config);
    const state = readState(path, config);
    assert.equal(state?.log?.size, 1);
    assert.deepEqual(state?.log?.root, deployment.ledger.issuance.range().root());
    assert.equal(state?.registry.size, deployment.ledger.registry.size);
    assert.ok((state?.log?.sinceSeconds ?? 0) > 0);
    // The next quarter's log begins with nothing; another registry is another deployment.
    assert.equal(readState(path, { ...config, origin: "redoubt.test/next" })?.log, undefined);
    const other = { ...config, registry: { origin: "other.test/registry" } };
    assert.throws(() => readState(path, other), { code: "ERR_SIGNER_STATE" });
  });

  it("THREAT-05: a disk on which nothing can be kept stops no token", async () => {
    await using deployment = await Deployment.start();
    const path = join(deployment.folder, "state.json");
    const signer = await deployment.openReady();
    rmSync(path, { force: true });
    mkdirSync(path);
    for (let count = 0; count < 6; count += 1) {
      await deployment.client().request(WANTED);
      await signer.tick();
    }
    assert.equal(deployment.events.count("state_not_kept") > 0, true);
    rmSync(path, { recursive: true });
    for (let count = 0; count < 6; count += 1) await signer.tick();
    assert.equal(existsSync(path), true);
  });

  it("a ledger that answers every wait at once does not make the signer spin", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { calls } = deployment.ledger;
    const turns = (): number => calls.filter(({ op }) => op === "registry").length;
    const before = turns();
    const start = performance.now();
    await until(() => turns() >= before + 10);
    assert.ok(performance.now() - start > 100);
  });
});
