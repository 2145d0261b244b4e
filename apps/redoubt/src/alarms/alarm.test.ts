import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@redoubt/verify/json";
import { alarmTable, isOpenCritical, parseAlarm, readAlarms, type AskMonitor } from "./alarm.ts";

function alarm(id: number, more: JsonObject = {}): JsonObject {
  return { id, at: 1000 + id, kind: "forged", severity: "critical", detail: {}, count: 1, ...more };
}

/** A monitor that holds these alarms and answers in pages of two. */
function monitorOf(alarms: readonly JsonObject[]): AskMonitor & { asked: object[] } {
  const asked: object[] = [];
  const ask = async (head: object): Promise<JsonObject> => {
    asked.push(head);
    const since = "since" in head && typeof head.since === "number" ? head.since : 0;
    const page = alarms.filter(({ id }) => typeof id === "number" && id > since).slice(0, 2);
    return { alarms: page, next: page.at(-1)?.["id"] ?? since };
  };
  return Object.assign(ask, { asked });
}

test("every page is read, in order, from where the caller says", async () => {
  const monitor = monitorOf([1, 2, 3, 4, 5].map((id) => alarm(id)));
  assert.deepEqual(
    (await readAlarms(monitor)).map(({ id }) => id),
    [1, 2, 3, 4, 5],
  );
  assert.deepEqual(
    (await readAlarms(monitor, { since: 3, digest: "d" })).map(({ id }) => id),
    [4, 5],
  );
  assert.deepEqual(monitor.asked.at(-1), { op: "alarms", since: 5, digest: "d", limit: 1000 });
});

async function stuck(): Promise<JsonObject> {
  return { alarms: [alarm(1)], next: 1 };
}

test("a monitor that tells the same page for ever is given up", async () => {
  await assert.rejects(readAlarms(stuck), { code: "ERR_ALARMS" });
});

test("only open critical alarms need attention at once", () => {
  assert.equal(isOpenCritical(parseAlarm(alarm(1))), true);
  assert.equal(isOpenCritical(parseAlarm(alarm(1, { closed: "drill" }))), false);
  assert.equal(isOpenCritical(parseAlarm(alarm(1, { severity: "warning" }))), false);
});

test("an alarm in another form is a coded error", () => {
  for (const value of [
    null,
    1,
    [],
    {},
    alarm(1, { id: "1" }),
    alarm(1, { severity: 3 }),
    alarm(-1),
  ])
    assert.throws(() => parseAlarm(value), { code: "ERR_REQUEST_MEMBER" });
});

test("what an attacker put into a detail is shown, and does nothing to the terminal", () => {
  const text = alarmTable([
    parseAlarm(alarm(7, { detail: { from: "\u001b[2J\u009b" }, closed: "x" })),
  ]);
  assert.match(text, /^[\n -~]*$/);
  assert.match(text, /7 +1970-01-01T00:16:47Z +critical \(closed\) +forged +1 +- +\{"from":/);
});
