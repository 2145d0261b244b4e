import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { haltedLog, until } from "@redoubt/testkit";
import { cosignWitnessed, ed25519Cosigner } from "@redoubt/tlog";
import { Deployment, refusalOf, WANTED } from "../testing/deployment.ts";

/** A signer that issued `count` tokens, had them cosigned, and stopped in order. */
async function after(count: number): Promise<Deployment> {
  const deployment = await Deployment.start();
  const signer = await deployment.openReady();
  for (let issued = 0; issued < count; issued += 1) await deployment.client().request(WANTED);
  await signer.tick();
  await signer[Symbol.asyncDispose]();
  deployment.events.all.length = 0;
  return deployment;
}

/** Ledger and signer as one backup has them; the witness remembers what came after it. */
function restore(deployment: Deployment, size: number): void {
  deployment.ledger.issuance.cut(size);
  rmSync(join(deployment.folder, "state.json"));
}

async function assertNothingSigned(deployment: Deployment): Promise<void> {
  const { signed } = deployment.custodian;
  const commits = deployment.ledger.commits().length;
  const appends = deployment.ledger.calls.filter(({ op }) => op === "append").length;
  await until(() => deployment.events.all.length > 0);
  const client = deployment.client();
  for (let attempt = 0; attempt < 20; attempt += 1)
    assert.equal(await refusalOf(client.request(WANTED)), "ERR_SIGNER_STARTING");
  assert.equal(deployment.custodian.signed, signed);
  assert.equal(deployment.ledger.commits().length, commits);
  assert.equal(deployment.ledger.calls.filter(({ op }) => op === "append").length, appends);
}

describe("THREAT-38: nothing is signed before the witness has said what it holds", () => {
  for (const size of [0, 2])
    it(`ledger and signer restored with ${size} of 5 entries are refused, until the log is whole again`, async () => {
      await using deployment = await after(5);
      const { batches } = deployment.ledger.issuance;
      const whole = [...batches];
      restore(deployment, size);
      await deployment.open();
      await assertNothingSigned(deployment);
      assert.equal(
        (await deployment.events.named("ledger_trouble")).fields["code"],
        "ERR_LOG_SHORT",
      );
      const told = await deployment.monitor.told.first(({ op }) => op === "event");
      assert.match(told.detail, /had 5/);
      batches.splice(0, batches.length, ...whole);
      await deployment.events.named("ledger_back");
      assert.equal((await deployment.client().request(WANTED)).head["index"], 5);
    });

  it("a registry that is shorter than the witness's is refused, although nobody else remembers more", async () => {
    await using deployment = await after(1);
    const { batches } = deployment.ledger.registry;
    const lost = batches.splice(-2);
    rmSync(join(deployment.folder, "state.json"));
    await deployment.open();
    await assertNothingSigned(deployment);
    const trouble = await deployment.events.named("ledger_trouble");
    assert.equal(trouble.fields["code"], "ERR_REGISTRY_SHORT");
    batches.push(...lost);
    await deployment.events.named("ledger_back");
    await deployment.client().request(WANTED);
  });

  it("a log of the same length with another history is refused", async () => {
    await using deployment = await after(3);
    const { issuance } = deployment.ledger;
    issuance.witnessed = { size: 3, root: issuance.fork(3).range().root() };
    rmSync(join(deployment.folder, "state.json"));
    await deployment.open();
    await assertNothingSigned(deployment);
    const trouble = await deployment.events.named("ledger_trouble");
    assert.equal(trouble.fields["code"], "ERR_LOG_HISTORY");
  });

  it("a witness that is away, does not answer or has halted the log holds the start up, and says so once", async () => {
    await using deployment = await after(1);
    const { monitor } = deployment;
    await monitor.stop();
    await deployment.open();
    await assertNothingSigned(deployment);
    const trouble = await deployment.events.named("witness_trouble");
    assert.equal(trouble.fields["code"], "ERR_WITNESS_AWAY");
    monitor.witnessed = haltedLog;
    await monitor.start();
    await until(() => deployment.events.count("witness_trouble") === 2);
    await assertNothingSigned(deployment);
    const told = await monitor.told.first(({ kind }) => kind === "signer-refuses-witness");
    assert.match(told.detail, /ERR_WITNESS_HALTED.*redoubt recover/);
    monitor.witnessed = deployment.ledger.witnessed;
    await deployment.events.named("witness_back");
    await deployment.client().request(WANTED);
  });

  it("an answer to an earlier question is refused, and so is one under another key", async () => {
    await using deployment = await after(1);
    const { monitor, ledger } = deployment;
    const kept = ledger.witnessed({ log: ledger.registry.origin, nonce: "n".repeat(22) });
    monitor.witnessed = () => kept;
    await deployment.open();
    await assertNothingSigned(deployment);
    const trouble = await deployment.events.named("witness_trouble");
    assert.equal(trouble.fields["code"], "ERR_WITNESS_ANSWER");
    const { privateKey } = generateKeyPairSync("ed25519");
    const by = { signer: ed25519Cosigner("witness.test", privateKey), timeSeconds: 1 };
    monitor.witnessed = (question) => cosignWitnessed(question, ledger.registry.witnessed, by);
    await assertNothingSigned(deployment);
    assert.equal(deployment.events.count("witness_trouble"), 1);
  });
});
