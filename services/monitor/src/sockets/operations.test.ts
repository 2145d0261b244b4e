import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { readMetrics } from "@redoubt/wire";
import { issue } from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";

const OPERATIONS = [
  "delivered",
  "refusal",
  "witnessed",
  "event",
  "alarms",
  "status",
  "close",
  "metrics",
  "health",
] as const;
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  operator: [
    "alarms",
    "status",
    "close",
    "witnessed",
    "witness-forward",
    "backup",
    "registry",
    "metrics",
    "health",
  ],
  "issuer-enterprise": ["delivered", "event"],
  "kube-front-enterprise": ["delivered", "event"],
  "signer-enterprise": ["refusal", "event", "witnessed"],
  broker: ["witnessed"],
};

describe("sockets", () => {
  it("every caller has exactly its own operations", async () => {
    await using world = await MonitorWorld.open();
    for (const [caller, allowed] of Object.entries(ALLOWED))
      for (const op of [...OPERATIONS, "nothing"]) {
        // The requests have no members: an operation that is allowed works, or fails because of that.
        const outcome = await world.ask(caller, { op }).then(
          () => "ok",
          (error: unknown) => (error instanceof Error && "code" in error ? error.code : ""),
        );
        assert.equal(outcome === "ERR_MONITOR_OP", !allowed.includes(op), `${caller} ${op}`);
      }
  });

  it("tells its operator what is open and read, in the form that the supervisor takes", async () => {
    await using world = await MonitorWorld.open();
    const refusal = { op: "refusal", code: "ERR_SIGNER_RESERVED", caller: "issuer", detail: "iss" };
    await world.ask("signer-enterprise", refusal);
    await world.tick();
    const answer = await world.ask("operator", { op: "metrics" });
    const samples = readMetrics("monitor", JSON.stringify(answer));
    const open = samples.filter(({ name }) => name === "redoubt_alarms_open");
    assert.deepEqual(
      open.map(({ label, value }) => [label, value]),
      [
        ["critical", 0],
        ["warning", 1],
        ["notice", 0],
      ],
    );
    assert.ok(samples.some(({ name, label }) => name.endsWith("entries_read") && label));
    assert.deepEqual(await world.ask("operator", { op: "health" }), { ready: true });
  });

  it("THREAT-28: what a cluster's front delivers counts for its realm; without it, each entry is an alarm", async () => {
    for (const [caller, expected] of [
      ["kube-front-enterprise", 0],
      [undefined, 1],
    ] as const) {
      await using world = await MonitorWorld.open();
      const digest = issue(world.deployment.enterprise.log);
      await world.tick();
      if (caller) await world.deliver(caller, [digest]);
      await world.tickFor(50);
      assert.equal((await world.alarms("undelivered")).length, expected, caller);
      assert.equal((await world.alarms("unlogged-delivery")).length, 0, caller);
    }
  });

  it("THREAT-04: refusals of a signer are one alarm for each kind of asking, with a count", async () => {
    await using world = await MonitorWorld.open();
    const refusal = { op: "refusal", code: "ERR_SIGNER_RESERVED", caller: "issuer", detail: "iss" };
    for (let i = 0; i < 5; i++) await world.ask("signer-enterprise", refusal);
    await world.ask("signer-enterprise", { ...refusal, code: "ERR_SIGNER_TTL" });
    const alarms = await world.alarms("signer-refusal");
    assert.deepEqual(
      alarms.map(({ count, severity }) => [count, severity]),
      [
        [5, "warning"],
        [1, "warning"],
      ],
    );
  });

  it("a sender ends a state that it told of, and nothing else, and not another's", async () => {
    await using world = await MonitorWorld.open();
    const open = async (): Promise<unknown[]> => {
      const alarms = await world.alarms("event");
      return alarms.filter(({ closed }) => closed === undefined).map(({ detail }) => detail);
    };
    const full = { op: "event", kind: "connections-full" };
    await world.ask("issuer-enterprise", full);
    await world.ask("issuer-consumer", { ...full, over: true });
    await world.ask("issuer-enterprise", { ...full, kind: "delivery-queue-full", over: true });
    assert.equal((await open()).length, 1);
    await world.ask("issuer-enterprise", { ...full, over: true });
    assert.deepEqual(await open(), []);
    // A sender that is killed cannot say that its states are over: its next session ends them.
    await world.ask("issuer-enterprise", full);
    await world.ask("issuer-consumer", { op: "delivered", session: "new", seq: 1, digests: [] });
    assert.equal((await open()).length, 1);
    await world.ask("issuer-enterprise", { op: "delivered", session: "new", seq: 1, digests: [] });
    assert.deepEqual(await open(), []);
    const taint = { op: "event", kind: "key-tainted" };
    await world.ask("signer-enterprise", taint);
    const code = { code: "ERR_MONITOR_OP" };
    await assert.rejects(world.ask("signer-enterprise", { ...taint, over: true }), code);
    assert.equal((await open()).length, 1);
  });

  it("malformed requests are refused with a code", async () => {
    await using world = await MonitorWorld.open();
    const digest = encodeBase64url(randomBytes(32));
    const good = { op: "delivered", session: "s", seq: 1, digests: [digest] };
    const wrong: readonly [string, Record<string, unknown>][] = [
      ["issuer-enterprise", { ...good, session: "" }],
      ["issuer-enterprise", { ...good, session: "a b" }],
      ["issuer-enterprise", { ...good, seq: -1 }],
      ["issuer-enterprise", { ...good, seq: 1.5 }],
      ["issuer-enterprise", { ...good, digests: ["x"] }],
      ["issuer-enterprise", { ...good, digests: [`${digest.slice(0, 42)}_`] }],
      ["issuer-enterprise", { ...good, digests: Array.from({ length: 4097 }, () => digest) }],
      ["issuer-enterprise", { ...good, lost: -1 }],
      ["issuer-enterprise", { ...good, closing: "yes" }],
      ["issuer-enterprise", { ...good, realm: "consumer" }],
      ["signer-enterprise", { op: "refusal", code: "a b", caller: "x" }],
      ["signer-enterprise", { op: "refusal", code: "A", caller: "x", detail: "d".repeat(2000) }],
      ["signer-enterprise", { op: "event", kind: "x".repeat(65) }],
      ["operator", { op: "alarms", limit: 0 }],
      ["operator", { op: "alarms", limit: 1001 }],
      ["operator", { op: "alarms", limit: 1, since: -1 }],
      ["operator", { op: "close", alarm: 0, reason: "r" }],
      ["operator", { op: "close", alarm: 1 }],
    ];
    for (const [caller, head] of wrong)
      await assert.rejects(world.ask(caller, head), (error) => {
        assert.ok(error instanceof Error && "code" in error);
        assert.match(
          String(error.code),
          /^ERR_(?:REQUEST_MEMBER|MONITOR_OP)$/,
          JSON.stringify(head).slice(0, 200),
        );
        return true;
      });
    assert.deepEqual(await world.ask("issuer-enterprise", good), { seq: 1 });
  });

  it("status says what is known", async () => {
    await using world = await MonitorWorld.open({}, ({ deployment }) =>
      deployment.addReporter("shop", "s"),
    );
    const status = await world.ask("operator", { op: "status" });
    assert.equal(status["witness"], world.keys.witness);
    assert.deepEqual(
      [status["ready"], status["auditAgeSeconds"], status["lastReportSeconds"], status["open"]],
      [true, 0, null, 0],
    );
    assert.deepEqual(status["reporters"], [
      { reporter: "shop", status: "active", lastReport: null, openMisses: 0 },
    ]);
    assert.equal(Array.isArray(status["logs"]) && status["logs"].length, 3);
  });
});
