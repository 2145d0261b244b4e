import { changed, until } from "@redoubt/testkit";
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { RemoteError } from "@redoubt/wire";
import { Deployment, refusalOf, TIMES, WANTED } from "./testing/deployment.ts";

/** A signer that issued three tokens and stopped in order. */
async function afterThree(): Promise<Deployment> {
  const deployment = await Deployment.start();
  const signer = await deployment.openReady();
  for (let count = 0; count < 3; count += 1) await deployment.client().request(WANTED);
  await signer.tick();
  await signer[Symbol.asyncDispose]();
  deployment.events.all.length = 0;
  return deployment;
}

async function assertRefused(deployment: Deployment, code: string): Promise<void> {
  const { signed } = deployment.custodian;
  const commits = deployment.ledger.commits().length;
  await deployment.open();
  const { fields } = await deployment.events.named("ledger_trouble");
  assert.equal(fields["code"], code);
  assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_STARTING");
  const told = await deployment.monitor.told.first(({ op }) => op === "event");
  assert.equal(told.kind, "signer-refuses-ledger");
  assert.match(told.detail, new RegExp(code));
  assert.equal(deployment.custodian.signed, signed);
  assert.equal(deployment.custodian.destroyed.length, 0);
  assert.equal(deployment.ledger.commits().length, commits);
}

describe("THREAT-06, THREAT-30: a restart", () => {
  it("goes on where it was, with the same keys", async () => {
    await using deployment = await afterThree();
    const { generated } = deployment.custodian;
    await deployment.openReady();
    const { head } = await deployment.client().request(WANTED);
    assert.equal(head["index"], 3);
    assert.equal(deployment.custodian.generated, generated);
  });

  it("a shorter log is refused and named, until it is whole again", async () => {
    await using deployment = await afterThree();
    const { batches } = deployment.ledger.issuance;
    const lost = batches.splice(2);
    await assertRefused(deployment, "ERR_LOG_SHORT");
    const calls = deployment.ledger.calls.length;
    await until(() => deployment.ledger.calls.length > calls + 6);
    // Tried again and again, said once.
    assert.equal(deployment.events.count("ledger_trouble"), 1);
    batches.push(...lost);
    assert.equal((await retried(deployment))["index"], 3);
  });

  it("an empty log is refused", async () => {
    await using deployment = await afterThree();
    deployment.ledger.issuance.batches.length = 0;
    await assertRefused(deployment, "ERR_LOG_SHORT");
  });

  it("another history of the same length is refused: this writer never signed it", async () => {
    await using deployment = await afterThree();
    const { issuance } = deployment.ledger;
    issuance.batches.splice(0, 3, ...issuance.fork(3).batches);
    await assertRefused(deployment, "ERR_LOG_CHECKPOINT");
  });

  it("a tree that this writer did sign, but not after what it remembers, is refused", async () => {
    await using deployment = await afterThree();
    const path = join(deployment.folder, "state.json");
    const state = readFileSync(path, "utf8");
    writeFileSync(path, state.replace(/"root":"[^"]{4}/, '"root":"AAAA'));
    await assertRefused(deployment, "ERR_LOG_HISTORY");
  });

  it("a tree that grew meanwhile is taken when the proof leads there", async () => {
    await using deployment = await afterThree();
    const path = join(deployment.folder, "state.json");
    const old = readFileSync(path, "utf8");
    const signer = await deployment.openReady();
    await deployment.client().request(WANTED);
    await signer[Symbol.asyncDispose]();
    // THREAT-30: an older copy of the state asks for less, and the log is still the one that it names.
    writeFileSync(path, old);
    await deployment.openReady();
    assert.equal((await deployment.client().request(WANTED)).head["index"], 4);
  });

  it("a consistency proof that is wrong is refused", async () => {
    await using deployment = await afterThree();
    const path = join(deployment.folder, "state.json");
    const old = readFileSync(path, "utf8");
    const signer = await deployment.openReady();
    await deployment.client().request(WANTED);
    await signer[Symbol.asyncDispose]();
    writeFileSync(path, old);
    deployment.events.all.length = 0;
    deployment.ledger.misbehave = ({ op }, honest) =>
      op === "proveGrowth" ? changed(honest, { proof: [] }) : honest();
    await assertRefused(deployment, "ERR_LOG_HISTORY");
  });

  it("a shorter registry is refused, and no key is destroyed for being unknown to it", async () => {
    await using deployment = await afterThree();
    const { batches } = deployment.ledger.registry;
    const lost = batches.splice(-2);
    await assertRefused(deployment, "ERR_REGISTRY_SHORT");
    batches.push(...lost);
    assert.equal((await retried(deployment))["index"], 3);
  });

  it("another registry of the same length is refused", async () => {
    await using deployment = await afterThree();
    const { registry } = deployment.ledger;
    const { size } = registry;
    const path = join(deployment.folder, "state.json");
    const state = readFileSync(path, "utf8");
    const at = state.lastIndexOf('"root":"') + 8;
    writeFileSync(path, `${state.slice(0, at)}AAAA${state.slice(at + 4)}`);
    assert.ok(size > 5);
    await assertRefused(deployment, "ERR_REGISTRY_HISTORY");
  });

  for (const [name, content] of [
    ["empty", ""],
    ["cut short", '{"v":1,"log":{'],
    ["of another version", '{"v":2}'],
    ["with more in it", '{"v":1,"x":1}'],
  ] as const)
    it(`a state file that is ${name} is not taken for none`, async () => {
      await using deployment = await afterThree();
      writeFileSync(join(deployment.folder, "state.json"), content);
      assert.equal(await refusalOf(deployment.open()), "ERR_SIGNER_STATE");
    });

  it("old news of the witness do not become fresh by restarting", async () => {
    await using deployment = await afterThree();
    const { ledger, clock } = deployment;
    const { origin } = ledger.issuance;
    // The registry is witnessed as ever; what the witness says of our log is kept back.
    ledger.misbehave = ({ head }, honest) =>
      head["log"] === origin ? changed(honest, { cosigned: "" }) : honest();
    clock.forward(901);
    const signer = await deployment.open();
    await deployment.events.named("log_opened");
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_UNWITNESSED");
    ledger.misbehave = undefined;
    await signer.tick();
    assert.equal((await deployment.client().request(WANTED)).head["index"], 3);
  });
});

describe("P6: a crash at each step", () => {
  const { activeSeconds, prepublishSeconds } = TIMES;
  const orders = {
    "of a takeover by the clock": { wait: activeSeconds, ask: undefined, appends: 4 },
    "of a rotation by hand": {
      wait: prepublishSeconds,
      ask: { op: "rotate", class: "at", reason: "test" },
      appends: 4,
    },
    "of a taint": { wait: prepublishSeconds, ask: "taint", appends: 5 },
  } as const;
  for (const [what, { wait, ask, appends }] of Object.entries(orders))
    it(`${what}: the next start goes on from there, with one active key and one standby`, async () => {
      for (let allowed = 0; allowed <= appends; allowed += 1) {
        await using deployment = await Deployment.start();
        const { ledger, clock, custodian, events } = deployment;
        const signer = await deployment.openReady();
        const kid = activeKidOf(await signer.status());
        clock.forward(wait);
        if (ask) await signer.tick();
        let count = 0;
        ledger.misbehave = ({ op }, honest) => {
          if (op !== "append") return honest();
          if (count >= allowed) throw new ServiceError("ERR_LEDGER_IO", "Away");
          count += 1;
          return honest();
        };
        const asked = ask === "taint" ? { op: ask, kid, reason: "test" } : ask;
        if (asked) await refusalOf(deployment.client("operator").request(asked));
        else await signer.tick();
        assert.equal(count, allowed);
        await signer[Symbol.asyncDispose]();
        ledger.misbehave = undefined;
        const again = await deployment.openReady();
        await again.tick();
        const found = statesOf(await again.status());
        assert.deepEqual(
          found.filter((state) => state === "active" || state === "prepublished").toSorted(),
          ["active", "prepublished"],
          `after ${allowed} entries: ${found.join()}`,
        );
        assert.equal(events.count("registry_void"), 0);
        assert.ok(custodian.generated <= 3);
        await deployment.client().request(WANTED);
      }
    });
});

function keysOf(status: object): readonly unknown[] {
  const keys: unknown = Reflect.get(status, "keys");
  return Array.isArray(keys) ? keys : [];
}

function statesOf(status: object): string[] {
  return keysOf(status).map((key) => String(Object(key).state));
}

function activeKidOf(status: object): string {
  return String(Object(keysOf(status).find((key) => Object(key).state === "active")).kid);
}

/** Asks again until the signer has taken up its log. */
async function retried(deployment: Deployment): Promise<JsonObject> {
  const client = deployment.client();
  for (;;) {
    try {
      return (await client.request(WANTED)).head;
    } catch (error) {
      if (!(error instanceof RemoteError) || error.code !== "ERR_SIGNER_STARTING") throw error;
    }
  }
}
