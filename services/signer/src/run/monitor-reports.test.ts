import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { until } from "@redoubt/testkit";
import { RemoteError, WireError } from "@redoubt/wire";
import { signerEvents } from "../events.ts";
import { Deployment, refusalOf, WANTED } from "../testing/deployment.ts";
import { RecordedEvents } from "../testing/test-events.ts";
import { MonitorReports } from "./monitor-reports.ts";

type Head = Readonly<Record<string, unknown>>;

function open(answer: () => Promise<void> = () => Promise.resolve()) {
  const heads: Head[] = [];
  const events = new RecordedEvents();
  const request = async (head: object) => {
    heads.push({ ...head });
    await answer();
    return { head: {}, attachment: Buffer.alloc(0) };
  };
  return { heads, events, reports: new MonitorReports({ request }, signerEvents(events.sink)) };
}

async function settled(): Promise<void> {
  let turns = 0;
  await until(() => (turns += 1) > 5);
}

const HANDLE = ["issuer", "ERR_SIGNER_HANDLE", "why"] as const;

describe("reports to the monitor", () => {
  it("the first of a kind goes at once, the rest of its second as one count", async () => {
    const { heads, events, reports } = open();
    for (let count = 0; count < 1000; count += 1) reports.refusal(...HANDLE);
    reports.refusal("drill", "ERR_SIGNER_HANDLE", "why");
    await settled();
    const first = { op: "refusal", code: "ERR_SIGNER_HANDLE", detail: "why" };
    assert.deepEqual(heads, [
      { ...first, caller: "issuer" },
      { ...first, caller: "drill" },
    ]);
    reports.flush();
    await settled();
    assert.deepEqual(heads.slice(2), [{ ...first, caller: "issuer", detail: "why (999 times)" }]);
    assert.equal(events.count("reported"), 3);
    reports.flush();
    await settled();
    assert.equal(heads.length, 3);
  });

  it("what an honest caller can run into is no alarm", () => {
    const { heads, reports } = open();
    for (const code of [
      "ERR_SIGNER_BUDGET",
      "ERR_SIGNER_NO_KEY",
      "ERR_SIGNER_LOG",
      "ERR_SIGNER_UNWITNESSED",
    ])
      reports.refusal("issuer", code, "why");
    assert.equal(heads.length, 0);
  });

  it("nothing is lost while the monitor is away, and no more than one request of a kind waits", async () => {
    let isAway = true;
    const { heads, reports } = open(async () => {
      if (isAway) throw new WireError("ERR_WIRE_CLOSED", "Away");
    });
    for (let second = 0; second < 5; second += 1) {
      reports.refusal(...HANDLE);
      reports.refusal(...HANDLE);
      await settled();
      reports.flush();
      await settled();
    }
    isAway = false;
    heads.length = 0;
    reports.flush();
    await settled();
    assert.deepEqual(
      heads.map(({ detail }) => detail),
      ["why (10 times)"],
    );
  });

  it("a monitor that never answers holds one request of a kind, and the rest is counted", async () => {
    const { heads, reports } = open(() => new Promise(() => undefined));
    for (let second = 0; second < 5; second += 1) {
      reports.refusal(...HANDLE);
      reports.flush();
      await settled();
    }
    assert.equal(heads.length, 1);
  });

  it("a monitor that refuses was told: it is not asked for ever", async () => {
    const { heads, events, reports } = open(async () => {
      throw new RemoteError("ERR_REQUEST_MEMBER", "No");
    });
    reports.event("signer-halted", "");
    await settled();
    reports.flush();
    await settled();
    assert.deepEqual(heads, [{ op: "event", kind: "signer-halted", detail: "none" }]);
    assert.equal(events.count("report_refused"), 1);
  });

  it("a detail is bounded, whoever wrote it", async () => {
    const { heads, reports } = open();
    reports.refusal("issuer", "ERR_REQUEST_MEMBER", "\ud800".repeat(10_000));
    await settled();
    assert.equal(String(heads[0]?.["detail"]).length, 200);
    assert.equal(String(heads[0]?.["detail"]).isWellFormed(), true);
  });

  it("a monitor that is away, or answers nonsense, stops no token", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    deployment.monitor.before = () => new Promise<never>(() => undefined);
    const client = deployment.client();
    assert.equal(await refusalOf(client.request({ ...WANTED, kid: "x" })), "ERR_SIGNER_RESERVED");
    await client.request(WANTED);
    await deployment.monitor.stop();
    assert.equal(await refusalOf(client.request({ ...WANTED, iss: "x" })), "ERR_SIGNER_RESERVED");
    await client.request(WANTED);
  });
});
