import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { until } from "@redoubt/testkit";
import type { EventSink } from "@redoubt/base";
import type { Reply } from "../client.ts";
import { RemoteError, WireError } from "../errors.ts";
import { DeliveryJournal } from "./delivery-journal.ts";
import { Deliveries, type DeliveryLimits } from "./deliveries.ts";
import { deliveryEvents } from "./events.ts";

type Head = Readonly<Record<string, unknown>>;

/** A monitor of which the test decides each answer. */
class Scripted implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "rdt-deliveries-"));
  readonly path: string = join(this.folder, "journal");
  readonly requests: Head[] = [];
  readonly events: string[] = [];
  /** Why reports failed, as the log says it. */
  readonly failures: unknown[] = [];
  answer: (head: Head) => Head | Promise<Head> = ({ seq }) => ({ seq });

  get reports(): readonly Head[] {
    return this.requests.filter(({ op }) => op === "delivered");
  }

  readonly request = async (head: Head): Promise<Reply> => {
    this.requests.push(head);
    const { seq } = await this.answer(head);
    return { head: typeof seq === "number" ? { seq } : {}, attachment: Buffer.alloc(0) };
  };

  open(limits: Partial<DeliveryLimits> = {}, replica?: number): Deliveries {
    const events = deliveryEvents(this.#log);
    return new Deliveries({
      client: this,
      events,
      journal: new DeliveryJournal({ path: this.path, events }),
      ...(replica !== undefined && { replica }),
      limits: { intervalMs: 1, retryMs: 1, ...limits },
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }

  readonly #log: EventSink = (name, fields = {}) => {
    this.events.push(name);
    if (name === "delivery_report_failed") this.failures.push(fields["code"]);
  };
}

function digestOf(byte: number): string {
  return Buffer.alloc(32, byte).toString("base64url");
}

describe("delivery reports (THREAT-28)", () => {
  for (const [replica, said] of [
    [undefined, undefined],
    [1, undefined],
    [2, 2],
  ])
    test(`process ${replica} of its name says ${said} in each report and event`, async () => {
      using monitor = new Scripted();
      {
        await using deliveries = monitor.open({}, replica);
        deliveries.tell("connections-full", "enterprise");
        await until(() => monitor.requests.length > 1);
      }
      assert.deepEqual(
        new Set(monitor.requests.map(({ op }) => op)),
        new Set(["delivered", "event"]),
      );
      for (const request of monitor.requests) assert.equal(request["replica"], said);
    });

  test("the first announces the session, batches are bounded, the last is closing", async () => {
    using monitor = new Scripted();
    {
      await using deliveries = monitor.open({ batch: 2 });
      await until(() => monitor.reports.length === 1);
      for (const digest of ["a", "b", "c", "d", "e"]) deliveries.add(digest, "api://orders");
      await until(() => deliveries.counts().waiting === 0);
    }
    const sessions = new Set(monitor.reports.map(({ session }) => session));
    assert.equal(sessions.size, 1);
    assert.match(String(monitor.reports[0]?.["session"]), /^[\w-]{22}$/);
    assert.deepEqual(
      monitor.reports.map(({ seq, digests, closing }) => [seq, digests, closing]),
      [
        [1, [], undefined],
        [2, ["a", "b"], undefined],
        [3, ["c", "d"], undefined],
        [4, ["e"], undefined],
        [5, [], true],
      ],
    );
  });

  test("counts for whom the tokens are; of what an earlier process received nobody knows", async () => {
    using monitor = new Scripted();
    {
      const killed = monitor.open();
      await until(() => monitor.reports.length === 1);
      monitor.answer = () => new Promise(() => undefined);
      killed.add(digestOf(1), "api://orders");
      await until(() => monitor.reports.length === 2);
    }
    monitor.answer = ({ seq }) => ({ seq });
    await using next = monitor.open();
    next.add(digestOf(2), "api://orders");
    next.add(digestOf(3), "api://mail");
    next.add(digestOf(4), "api://orders");
    await until(() => next.counts().waiting === 0);
    const told = monitor.reports.flatMap(({ audiences }) => audiences ?? []);
    assert.deepEqual(told, [
      // Not acknowledged, and told by the process that received it.
      { audience: "api://orders", count: 1 },
      { audience: "api://orders", count: 2 },
      { audience: "api://mail", count: 1 },
    ]);
  });

  test("names 256 audiences in one report, and counts no more", async () => {
    using monitor = new Scripted();
    await using deliveries = monitor.open({ intervalMs: 20 });
    await until(() => monitor.reports.length === 1);
    for (let i = 0; i < 300; i++) deliveries.add(`d${i}`, `api://${i}`);
    await until(() => deliveries.counts().waiting === 0);
    const audiences = monitor.reports.flatMap((report) => report["audiences"] ?? []);
    assert.equal(audiences.length, 256);
  });

  test("THREAT-28: after a kill the next session begins with all that was received and not acknowledged", async () => {
    using monitor = new Scripted();
    const taken = digestOf(1);
    const [waiting, unanswered] = [digestOf(2), digestOf(3)];
    {
      const killed = monitor.open();
      await until(() => monitor.reports.length === 1);
      killed.add(taken, "api://orders");
      await until(() => killed.counts().waiting === 0);
      monitor.answer = () => new Promise(() => undefined);
      killed.add(unanswered, "api://orders");
      await until(() => monitor.reports.length === 3);
      killed.add(waiting, "api://orders");
    }
    monitor.answer = ({ seq }) => ({ seq });
    await using next = monitor.open();
    await until(() => next.counts().waiting === 0);
    const [, , , first] = monitor.reports;
    assert.deepEqual(first, {
      ...first,
      seq: 1,
      // What was acknowledged may be told again: it changes nothing.
      digests: [taken, unanswered, waiting],
      resumed: true,
    });
    await next[Symbol.asyncDispose]();
    // A clean stop leaves nothing to resume.
    await using fresh = monitor.open();
    await until(() => monitor.reports.length === 6);
    assert.equal(fresh.counts().waiting, 0);
    assert.equal(monitor.reports.at(-1)?.["resumed"], undefined);
  });

  test("what is not acknowledged is sent again as it was, whatever went wrong", async () => {
    using monitor = new Scripted();
    await using deliveries = monitor.open();
    await until(() => monitor.reports.length === 1);
    const answers: (() => Head)[] = [
      () => {
        throw new WireError("ERR_WIRE_TIMEOUT", "late");
      },
      () => {
        throw new RemoteError("ERR_INTERNAL", "broken");
      },
      () => ({ seq: 999 }),
      () => ({}),
    ];
    monitor.answer = ({ seq }) => answers.shift()?.() ?? { seq };
    deliveries.add("a", "api://orders");
    deliveries.lost(2);
    await until(() => deliveries.counts().waiting === 0);
    const [, first, ...again] = monitor.reports;
    assert.deepEqual(first, { ...first, seq: 2, digests: ["a"], lost: 2 });
    assert.equal(again.length, 4);
    for (const report of again) assert.deepEqual(report, first);
    assert.deepEqual(monitor.events, [
      "tokens_lost",
      "delivery_report_failed",
      "delivery_reports_back",
    ]);
    assert.deepEqual(monitor.failures, ["ERR_WIRE_TIMEOUT"]);
  });

  test("an answer counts as acknowledgement only with the number of the report", async () => {
    for (const [seq, failures] of [
      [1, []],
      [0, ["ERR_WIRE_ACKNOWLEDGEMENT"]],
      [2, ["ERR_WIRE_ACKNOWLEDGEMENT"]],
      [undefined, ["ERR_REQUEST_MEMBER"]],
    ] as const) {
      using monitor = new Scripted();
      const answers: Head[] = [{ seq }];
      monitor.answer = (head) => answers.shift() ?? head;
      await using deliveries = monitor.open();
      deliveries.add("a", "api://orders");
      await until(() => deliveries.counts().waiting === 0);
      assert.deepEqual(monitor.failures, failures, String(seq));
    }
  });

  test("digests that come during a report go into the next one", async () => {
    using monitor = new Scripted();
    const gate = Promise.withResolvers<void>();
    monitor.answer = async ({ seq }) => {
      if (seq === 2) await gate.promise;
      return { seq };
    };
    await using deliveries = monitor.open();
    await until(() => monitor.reports.length === 1);
    deliveries.add("a", "api://orders");
    await until(() => monitor.reports.length === 2);
    deliveries.add("b", "api://orders");
    assert.equal(deliveries.counts().waiting, 2);
    gate.resolve();
    await until(() => deliveries.counts().waiting === 0);
    assert.deepEqual(
      monitor.reports.map(({ digests }) => digests),
      [[], ["a"], ["b"]],
    );
  });

  test("more than the contract's largest count of lost tokens takes several reports", async () => {
    using monitor = new Scripted();
    {
      await using deliveries = monitor.open();
      await until(() => monitor.reports.length === 1);
      deliveries.lost(2_500_000);
      await until(() => deliveries.counts().lost === 0);
    }
    const lost = monitor.reports.map((report) => report["lost"]);
    assert.deepEqual(lost, [undefined, 1_000_000, 1_000_000, 500_000, undefined]);
  });

  test("a full queue is an event, an alarm and a count, never silent", async () => {
    using monitor = new Scripted();
    monitor.answer = ({ op, seq }) => {
      if (op === "delivered") throw new WireError("ERR_WIRE_CLOSED", "gone");
      return { seq };
    };
    await using deliveries = monitor.open({ queue: 3, batch: 2, closeMs: 5 });
    await until(() => monitor.reports.length > 0);
    for (const digest of ["a", "b", "c", "d", "e"]) deliveries.add(digest, "api://orders");
    assert.equal(monitor.events.filter((name) => name === "delivery_queue_full").length, 1);
    const alarms = monitor.requests.filter(({ op }) => op === "event");
    assert.deepEqual(alarms, [{ op: "event", kind: "delivery-queue-full", detail: "3" }]);
    assert.deepEqual([deliveries.counts().waiting, deliveries.counts().lost], [3, 2]);
    monitor.answer = ({ seq }) => ({ seq });
    await until(() => deliveries.counts().waiting === 0);
    const forgotten = monitor.reports.map((report) => Number(report["forgotten"] ?? 0));
    assert.equal(Math.max(...forgotten), 2);
  });

  test("THREAT-36: the end of an alarm is said until the monitor has it, and an old word not after a new one", async () => {
    using monitor = new Scripted();
    await using deliveries = monitor.open();
    await until(() => monitor.reports.length === 1);
    deliveries.tell("connections-full", "consumer");
    await until(() => monitor.requests.length === 2);
    monitor.answer = () => {
      throw new RemoteError("ERR_MONITOR_DISK_FULL", "no room");
    };
    deliveries.tell("connections-full", "consumer");
    deliveries.tell("connections-full", "consumer", true);
    await until(() => monitor.failures.length > 2);
    monitor.answer = ({ seq }) => ({ seq });
    const before = monitor.requests.length;
    const said = (): readonly Head[] =>
      monitor.requests.slice(before).filter(({ op }) => op === "event");
    await until(() => said().length > 0);
    deliveries.add(digestOf(1), "api://orders");
    await until(() => deliveries.counts().waiting === 0);
    assert.deepEqual(said(), [
      { op: "event", kind: "connections-full", detail: "consumer", over: true },
    ]);
  });

  test("a stop without a monitor ends in time and says what is unreported", async () => {
    using monitor = new Scripted();
    monitor.answer = () => {
      throw new WireError("ERR_WIRE_CLOSED", "gone");
    };
    {
      await using deliveries = monitor.open({ closeMs: 20 });
      deliveries.add("a", "api://orders");
    }
    assert.equal(monitor.events.at(-1), "deliveries_unreported");
    const { length } = monitor.requests;
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(monitor.requests.length, length);
  });
});
