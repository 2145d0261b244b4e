import assert from "node:assert/strict";
import { cpSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { readSocketSecret, serveSocket, socketPlace } from "@redoubt/wire";
import fc from "fast-check";
import { initialise } from "./initialise.ts";
import { issue } from "./testing/deployment.ts";
import { MonitorWorld } from "./testing/monitor-world.ts";

describe("the monitor as a whole", () => {
  it("reads a ledger over its socket", async () => {
    await using world = await MonitorWorld.open();
    await world.stop();
    world.preparePlace("ledger", "monitor");
    const place = socketPlace(world.root, "ledger", "monitor");
    const secret = readSocketSecret(place);
    await using served = await serveSocket({
      path: place.path,
      caller: "monitor",
      secret,
      service: "ledger",
      instance: "test",
      handler: world.ledger.handler,
      sink: () => undefined,
    });
    assert.ok(served);
    await world.start({}, "socket");
    const digest = issue(world.deployment.enterprise.log);
    await world.tick();
    await world.deliver("issuer-enterprise", [digest]);
    assert.equal(world.monitor.status()["ready"], true);
    await world.tickFor(50);
    assert.deepEqual(await world.alarms("undelivered"), []);
  });

  it("keeps its files to itself, and its identity once", async () => {
    await using world = await MonitorWorld.open();
    const folder = join(world.root, "monitor");
    for (const file of ["monitor.db", "witness.key", "witness.key.pass"])
      assert.equal(statSync(join(folder, file)).mode & 0o077, 0, file);
    await assert.rejects(initialise(folder), { code: "ERR_CONFIG" });
  });

  it("a second monitor on the same memory does not start", async () => {
    await using world = await MonitorWorld.open();
    await assert.rejects(world.start(), { code: "ERR_MONITOR_STORE" });
    await world.tick();
  });

  it("what does not start leaves nothing open", async () => {
    await using world = await MonitorWorld.open();
    const { port } = world.monitor;
    await world.stop();
    await assert.rejects(world.start({ callers: ["signer-nobody"] }));
    // The port and the database are free again.
    await world.start({ http: { port, proxies: null, public: null } });
    assert.equal(world.monitor.port, port);
  });

  it("THREAT-30: what was cosigned survives a crash; a fork stays halted", async () => {
    await using world = await MonitorWorld.open();
    const { enterprise, consumer } = world.deployment;
    for (const log of [enterprise.log, consumer.log]) {
      issue(log);
      await world.post("/add-checkpoint", `old 0\n\n${log.note()}`);
    }
    const other = consumer.log.note(1, Buffer.alloc(32, 1));
    await world.post("/add-checkpoint", `old 1\n\n${other}`);
    await world.crash(copy);
    await world.start();
    await world.tick();
    const shown = enterprise.log.note();
    assert.equal((await world.post("/add-checkpoint", `old 0\n\n${shown}`)).body, "1\n");
    assert.equal((await world.post("/add-checkpoint", `old 1\n\n${shown}`)).status, 200);
    const halted = `old 1\n\n${consumer.log.note()}`;
    assert.equal((await world.post("/add-checkpoint", halted)).status, 403);
  });

  it("THREAT-06: a registry rewritten while the monitor was down is found at the start", async () => {
    await using world = await MonitorWorld.open();
    await world.stop();
    const { registry } = world.ledger;
    const [first, second] = registry.batches;
    assert.ok(first && second);
    registry.batches[0] = second;
    await world.start();
    await world.tick();
    const [alarm] = await world.alarms("fork");
    assert.equal(alarm?.["log"], registry.origin);
  });

  it("THREAT-06: a registry cut while the monitor was down is found at the start", async () => {
    await using world = await MonitorWorld.open();
    await world.stop();
    const { registry } = world.ledger;
    registry.batches.pop();
    await world.start();
    await world.tick();
    assert.equal((await world.alarms("log-shrunk")).length, 1);
  });
});

type Step =
  | { readonly do: "issue"; readonly count: number }
  | { readonly do: "deliver" }
  | { readonly do: "resend" }
  | { readonly do: "outage"; readonly seconds: number }
  | { readonly do: "crash" }
  | { readonly do: "wait"; readonly seconds: number };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("issue" as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ do: fc.constant("deliver" as const) }),
  fc.record({ do: fc.constant("resend" as const) }),
  fc.record({ do: fc.constant("outage" as const), seconds: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ do: fc.constant("crash" as const) }),
  fc.record({ do: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 4 }) }),
);

describe("joins under lag, restarts and repetitions", () => {
  it("THREAT-28: what was delivered is never an alarm, what was not always is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { minLength: 4, maxLength: 12 }), async (steps) => {
        await using world = await MonitorWorld.open();
        await world.deliver("issuer-enterprise", []);
        let waiting: Buffer[] = [];
        let sent: Buffer[] = [];
        let seq = 1;
        const run = async (step: Step): Promise<void> => {
          switch (step.do) {
            case "issue":
              for (let i = 0; i < step.count; i++)
                waiting.push(issue(world.deployment.enterprise.log));
              return;
            case "deliver":
              seq += 1;
              await world.deliver("issuer-enterprise", waiting, { seq });
              sent = waiting;
              waiting = [];
              return;
            case "resend":
              await world.deliver("issuer-enterprise", sent, { seq });
              return;
            case "outage":
              world.ledger.isDown = true;
              await world.tickFor(step.seconds);
              world.ledger.isDown = false;
              return;
            case "crash":
              await world.crash(copy);
              return world.start();
            case "wait":
              return world.tickFor(step.seconds);
          }
        };
        const forged = issue(world.deployment.enterprise.log);
        // A report of an honest issuer never waits for long.
        for (const step of steps) {
          await run(step);
          if (waiting.length > 0 && step.do !== "issue") await run({ do: "deliver" });
        }
        await run({ do: "deliver" });
        await world.tickFor(50);
        const found = (await world.alarms("undelivered")).map(({ digest, count }) => [
          digest,
          count,
        ]);
        assert.deepEqual(found, [[encodeBase64url(forged), 1]]);
        assert.deepEqual(await world.alarms("unlogged-delivery"), []);
      }),
      { numRuns: 12 },
    );
  });
});

/** What a killed process leaves behind, without its sockets. */
function copy(from: string, to: string): void {
  cpSync(join(from, "monitor"), join(to, "monitor"), { recursive: true, filter: isNoSocket });
}

function isNoSocket(path: string): boolean {
  return !path.endsWith("sock");
}
