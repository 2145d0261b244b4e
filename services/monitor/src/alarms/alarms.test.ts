import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Database } from "../store/database.ts";
import { AlarmStore } from "./alarm-store.ts";
import { Alarms } from "./alarms.ts";

interface Opened extends Disposable {
  readonly alarms: Alarms;
  readonly lines: string[];
  reopen(): Alarms;
}

function open(): Opened {
  const folder = mkdtempSync(join(tmpdir(), "alarms-"));
  const db = new Database(join(folder, "monitor.db"));
  const lines: string[] = [];
  const make = (): Alarms =>
    new Alarms({
      store: new AlarmStore(db),
      clock: { now: () => 5000 },
      active: () => 0,
      events: (name) => lines.push(name),
    });
  return {
    alarms: make(),
    lines,
    reopen: make,
    [Symbol.dispose]: () => {
      db[Symbol.dispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

const INPUT = { kind: "forged", subject: "a", digests: ["D"], detail: { kid: "k" } } as const;

describe("alarms", () => {
  it("hits of one subject are one alarm with a count and a line each time the count doubles", () => {
    using opened = open();
    for (let i = 0; i < 100; i++) opened.alarms.raise(INPUT);
    const { alarms } = opened.alarms.list({ limit: 10 });
    assert.deepEqual(
      alarms.map(({ count, severity, at, digest }) => [count, severity, at, digest]),
      [[100, "critical", 5, "D"]],
    );
    assert.deepEqual(opened.lines, ["alarm", ...Array.from({ length: 6 }, () => "alarm_repeated")]);
  });

  it("goes on counting after a restart", () => {
    using opened = open();
    opened.alarms.raise(INPUT);
    const again = opened.reopen();
    again.raise(INPUT);
    again.raise({ ...INPUT, subject: "b" });
    assert.deepEqual(
      again.list({ limit: 10 }).alarms.map(({ count }) => count),
      [2, 1],
    );
  });

  it("after closing, a hit is a new alarm; closing needs the digest exactly when there is one", () => {
    using opened = open();
    const { alarms } = opened;
    alarms.raise(INPUT);
    alarms.raise({ kind: "event", subject: "x", detail: {} });
    const refused = { code: "ERR_MONITOR_ALARM" };
    assert.throws(() => alarms.close({ alarm: 1, reason: "r" }), refused);
    assert.throws(() => alarms.close({ alarm: 1, digest: "E", reason: "r" }), refused);
    assert.throws(() => alarms.close({ alarm: 2, digest: "D", reason: "r" }), refused);
    assert.throws(() => alarms.close({ alarm: 3, reason: "r" }), refused);
    alarms.close({ alarm: 1, digest: "D", reason: "r" });
    alarms.close({ alarm: 2, reason: "r" });
    assert.throws(() => alarms.close({ alarm: 1, digest: "D", reason: "r" }), refused);
    alarms.raise(INPUT);
    assert.deepEqual(
      alarms.list({ limit: 10 }).alarms.map(({ closed }) => closed),
      ["r", "r", undefined],
    );
  });

  it("THREAT-31: subjects without end share one alarm; other kinds keep theirs", () => {
    using opened = open();
    const { alarms } = opened;
    for (let i = 0; i < 700; i++) alarms.raise({ ...INPUT, subject: `s${i}`, digests: [`D${i}`] });
    alarms.raise({ kind: "fork", subject: "log", detail: {} });
    const all = alarms.list({ limit: 1000 }).alarms;
    assert.equal(all.length, 502);
    assert.equal(all.find(({ count }) => count === 200)?.digest, "D500");
    assert.equal(alarms.list({ digest: "D650", limit: 10 }).alarms.length, 1);
    assert.equal(alarms.openCount, 502);
    const bySeverity = { critical: 502, warning: 0, notice: 0 };
    assert.deepEqual(Object.fromEntries(alarms.openBySeverity()), bySeverity);
  });

  it("lists by cursor and by digest, and no more than one answer holds", () => {
    using opened = open();
    const { alarms } = opened;
    const text = "x".repeat(10_000);
    for (let i = 0; i < 40; i++)
      alarms.raise({ ...INPUT, subject: `s${i}`, digests: [`D${i}`], detail: { text } });
    const seen: number[] = [];
    let since = 0;
    for (let pages = 0; pages < 10; pages++) {
      const page = alarms.list({ since, limit: 1000 });
      assert.ok(JSON.stringify(page).length < 256 * 1024);
      seen.push(...page.alarms.map(({ id }) => id));
      since = page.next;
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    assert.deepEqual(
      alarms.list({ since: 0, limit: 3 }).alarms.map(({ id }) => id),
      [1, 2, 3],
    );
    assert.deepEqual(
      alarms.list({ digest: "D7", limit: 9 }).alarms.map(({ id }) => id),
      [8],
    );
    assert.deepEqual(alarms.list({ digest: "none", limit: 9 }).alarms, []);
  });

  it("a state is raised once and ended by recovery", () => {
    using opened = open();
    const { alarms } = opened;
    const state = { kind: "audit-blind", subject: "ledger", detail: {} } as const;
    for (let i = 0; i < 3; i++) alarms.raiseState(state);
    alarms.recover("audit-blind", "ledger");
    alarms.recover("audit-blind", "ledger");
    alarms.raiseState(state);
    assert.deepEqual(
      alarms.list({ limit: 9 }).alarms.map(({ count, closed }) => [count, closed]),
      [
        [1, "recovered"],
        [1, undefined],
      ],
    );
  });
});
