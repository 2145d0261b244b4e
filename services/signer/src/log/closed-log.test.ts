import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SIGNER_FILES } from "../initialise.ts";
import { Deployment, refusalOf, WANTED } from "../testing/deployment.ts";

async function issue(deployment: Deployment, count: number): Promise<void> {
  const client = deployment.client();
  for (let issued = 0; issued < count; issued += 1) await client.request(WANTED);
}

const digests = (entries: readonly Buffer[]): string[] =>
  entries.map((entry) => entry.toString("hex", 1, 33));

describe("a log that the operator closes", () => {
  it("takes nothing more, and its signer says which log takes its place", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    await issue(deployment, 2);
    const { log } = deployment.closeLog(2);
    await deployment.events.named("ledger_trouble");
    const client = deployment.client();
    assert.equal(await refusalOf(client.request(WANTED)), "ERR_SIGNER_LOG");
    assert.equal(deployment.ledger.issuance.size, 2);
    const told = await deployment.monitor.told.first(({ kind }) => kind === "signer-halted");
    assert.ok(told.detail.includes(log), told.detail);
  });

  it("is not taken up again", async () => {
    await using deployment = await Deployment.start();
    deployment.closeLog(0);
    await deployment.open();
    const { fields } = await deployment.events.named("ledger_trouble");
    assert.equal(fields["code"], "ERR_LOG_CLOSED");
    assert.equal(deployment.custodian.generated, 0);
  });

  it("P6: the same key signs on in the next log at once, and what was not cosigned comes before", async () => {
    await using deployment = await Deployment.start();
    const { ledger, custodian } = deployment;
    const first = await deployment.openReady();
    await issue(deployment, 3);
    await first.tick();
    ledger.witness.isUp = false;
    await issue(deployment, 4);
    await first[Symbol.asyncDispose]();
    const lost = digests(ledger.issuance.entries.slice(3));
    // The ledger loses its tail: what the witness has not seen is in the signer's journal only.
    ledger.issuance.cut(3);
    ledger.witness.isUp = true;
    const { generated } = custodian;
    const next = deployment.closeLog(3);
    await deployment.openReady({}, next);
    const { fields } = await deployment.events.named("entries_carried");
    assert.deepEqual(fields, { from: ledger.issuance.origin, count: 4 });
    const { head } = await deployment.client().request(WANTED);
    assert.deepEqual([head["log"], head["index"]], [next.log, 4]);
    assert.deepEqual(digests(ledger.successors[0]?.entries ?? []).slice(0, 4), lost);
    assert.equal(custodian.generated, generated);
  });

  it("leaves nothing to carry where the witness has seen everything, nor a second time", async () => {
    await using deployment = await Deployment.start();
    const { ledger } = deployment;
    const first = await deployment.openReady();
    await issue(deployment, 3);
    await first.tick();
    await first[Symbol.asyncDispose]();
    const journals = join(deployment.folder, SIGNER_FILES.journals);
    const next = deployment.closeLog(3);
    const second = await deployment.openReady({}, next);
    await issue(deployment, 1);
    assert.equal(ledger.successors[0]?.size, 1);
    await second[Symbol.asyncDispose]();
    // Of the log that is written now only.
    assert.equal(readdirSync(journals).length, 1);
    await deployment.openReady({}, next);
    await issue(deployment, 1);
    assert.equal(ledger.successors[0]?.size, 2);
  });

  it("carries through several closings, where a log in between was never written", async () => {
    await using deployment = await Deployment.start();
    const { ledger } = deployment;
    const first = await deployment.openReady();
    ledger.witness.isUp = false;
    await issue(deployment, 2);
    await first[Symbol.asyncDispose]();
    ledger.witness.isUp = true;
    deployment.closeLog(0);
    const last = deployment.closeLog(0, ledger.successors[0]);
    await deployment.openReady({}, last);
    await issue(deployment, 1);
    assert.equal(ledger.successors[0]?.size, 0);
    assert.deepEqual(
      digests(ledger.successors[1]?.entries ?? []).slice(0, 2),
      digests(ledger.issuance.entries),
    );
  });
});
