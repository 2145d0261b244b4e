import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Deployment, refusalOf, WANTED } from "./testing/deployment.ts";

describe("P3: the witness is gone", () => {
  it("issuance goes on, stops at maxUnwitnessed exactly, and goes on when it is back", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger, clock, custodian } = deployment;
    const client = deployment.client();
    await client.request(WANTED);
    await signer.tick();
    ledger.witness.isUp = false;
    for (let minute = 0; minute < 15; minute += 1) {
      clock.forward(60);
      await signer.tick();
      await client.request(WANTED);
    }
    const { signed } = custodian;
    clock.forward(0.001);
    assert.equal(await refusalOf(client.request(WANTED)), "ERR_SIGNER_UNWITNESSED");
    const { head } = await client.request({ op: "metadata" });
    assert.deepEqual([head["ready"], head["problem"]], [false, "ERR_SIGNER_UNWITNESSED"]);
    assert.equal(custodian.signed, signed);
    ledger.witness.isUp = true;
    await signer.tick();
    await client.request(WANTED);
  });

  it("a log without entries waits for its first token as long as it takes", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    // The registry is witnessed all the time, the empty log cannot be.
    for (let hour = 0; hour < 24; hour += 1) {
      deployment.clock.forward(3600);
      await signer.tick();
    }
    assert.equal((await deployment.client().request(WANTED)).head["index"], 0);
  });

  it("a cosignature that is bad is refused once, said once, and vouches for nothing", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger, clock } = deployment;
    await deployment.client().request(WANTED);
    await signer.tick();
    const cosigned = `${ledger.issuance.cosigned.slice(0, -6)}AAAA=\n`;
    ledger.misbehave = ({ op, head }, honest) =>
      op === "state" && head["log"] === ledger.issuance.origin
        ? { head: { ...honest().head, cosigned } }
        : honest();
    clock.forward(800);
    for (let count = 0; count < 3; count += 1) await signer.tick();
    await deployment.client().request(WANTED);
    clock.forward(101);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_UNWITNESSED");
    assert.equal(deployment.log.count("cosignature_refused"), 1);
  });
});

describe("THREAT-29: the clock of the signer", () => {
  for (const [name, seconds] of [
    ["a day ahead", 86_400],
    ["a day back", -86_400],
    ["five weeks ahead", 35 * 86_400],
  ] as const)
    it(`set ${name}: nothing is signed, no key takes a step, and setting it right ends it`, async () => {
      await using deployment = await Deployment.start();
      const signer = await deployment.openReady();
      const { ledger, clock, custodian } = deployment;
      const client = deployment.client();
      await client.request(WANTED);
      await signer.tick();
      const { signed } = custodian;
      const right = clock.seconds;
      // The witness's clock stays right.
      Reflect.set(ledger.witness, "nowSeconds", () => right + clock.monotonic() / 1000 - at);
      const at = clock.monotonic() / 1000;
      clock.set(seconds);
      const { size } = ledger.registry;
      for (let count = 0; count < 3; count += 1) {
        assert.equal(await refusalOf(client.request(WANTED)), "ERR_SIGNER_CLOCK");
        clock.forward(15);
        await signer.tick();
      }
      assert.equal(custodian.signed, signed);
      assert.equal(ledger.registry.size, size);
      assert.equal(custodian.destroyed.length, 0);
      clock.set(-seconds);
      clock.forward(15);
      await signer.tick();
      await client.request(WANTED);
    });
});
