import { changed } from "@redoubt/testkit";
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Deployment, refusalOf, WANTED } from "../testing/deployment.ts";

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
        ? changed(honest, { cosigned })
        : honest();
    clock.forward(800);
    for (let count = 0; count < 3; count += 1) await signer.tick();
    await deployment.client().request(WANTED);
    clock.forward(101);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_UNWITNESSED");
    assert.equal(deployment.events.count("cosignature_refused"), 1);
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

/** Of both logs, by an hour. */
function dateAhead({ ledger, clock }: Deployment, seconds = 3600): void {
  Reflect.set(ledger.witness, "nowSeconds", () => clock.seconds + seconds);
}

describe("THREAT-37: the witness dates its cosignatures ahead", () => {
  it("issuance goes on, one alarm for each log names both times, nothing of it is kept", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger, clock, events, monitor } = deployment;
    const client = deployment.client();
    await client.request(WANTED);
    await signer.tick();
    dateAhead(deployment);
    for (let count = 0; count < 5; count += 1) {
      clock.forward(1);
      await signer.tick();
      await client.request(WANTED);
    }
    const alarms = events.all.filter(({ name }) => name === "cosignature_ahead");
    const now = clock.seconds - 4;
    const origins = [ledger.issuance.origin, ledger.registry.origin];
    assert.deepEqual(
      alarms
        .map(({ fields }) => fields)
        .toSorted((a, b) => String(a["log"]).localeCompare(String(b["log"]))),
      origins.map((origin) => ({ log: origin, cosigned: now + 3600, now })),
    );
    const told = await monitor.told.first(({ kind }) => kind === "cosignature-ahead");
    assert.match(told.detail, new RegExp(`dated ${now + 3600}, this clock is at ${now}$`));
    dateAhead(deployment, 0);
    clock.forward(60);
    await signer.tick();
    await client.request(WANTED);
    await signer[Symbol.asyncDispose]();
    const state = readFileSync(join(deployment.folder, "state.json"), "utf8");
    for (const [, since] of state.matchAll(/"since":(\d+)/g))
      assert.equal(Number(since), clock.seconds);
  });

  it("only it: issuance stops at maxUnwitnessed", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    await deployment.client().request(WANTED);
    await signer.tick();
    dateAhead(deployment);
    deployment.clock.forward(900.001);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_UNWITNESSED");
  });

  it("a machine's clock, the witness's too, jumps ahead and back: nothing is signed until then, or a new start", async () => {
    await using deployment = await Deployment.start();
    const { clock } = deployment;
    const first = await deployment.openReady();
    const client = deployment.client();
    await client.request(WANTED);
    await first.tick();
    clock.set(3600);
    clock.forward(15);
    await first.tick();
    clock.set(-3600);
    for (let count = 0; count < 3; count += 1) {
      clock.forward(15);
      await first.tick();
      assert.equal(await refusalOf(client.request(WANTED)), "ERR_SIGNER_CLOCK");
    }
    await first[Symbol.asyncDispose]();
    const second = await deployment.open();
    await second.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_CLOCK");
    clock.forward(15);
    await second.tick();
    assert.equal((await deployment.client().request(WANTED)).head["index"], 1);
    assert.ok(deployment.events.count("cosignature_ahead") >= 2, "said for each log at the start");
  });

  it("a state file with a date years ahead stops a start only until the witness has spoken", async () => {
    await using deployment = await Deployment.start();
    const first = await deployment.openReady();
    await deployment.client().request(WANTED);
    await first.tick();
    await first[Symbol.asyncDispose]();
    const path = join(deployment.folder, "state.json");
    const ahead = deployment.clock.seconds + 100_000_000;
    const state = readFileSync(path, "utf8").replaceAll(/"since":\d+/g, `"since":${ahead}`);
    writeFileSync(path, state);
    deployment.ledger.witness.isUp = false;
    deployment.ledger.issuance.cosigned = "";
    deployment.ledger.registry.cosigned = "";
    const signer = await deployment.open();
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_CLOCK");
    deployment.ledger.witness.isUp = true;
    deployment.clock.forward(1);
    await signer.tick();
    assert.equal((await deployment.client().request(WANTED)).head["index"], 1);
  });
});
