import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@redoubt/verify/json";
import { MONITOR, type Requester } from "@redoubt/wire";
import { alarmTable, isOpenCritical, readAlarms, type Alarm } from "./alarms.ts";

function alarm(id: number, more: JsonObject = {}): JsonObject {
  return { id, at: 1000 + id, kind: "forged", severity: "critical", detail: {}, count: 1, ...more };
}

/** An alarm as it is read. */
function parsed(id: number, more: JsonObject = {}): Alarm {
  const [one] = MONITOR.alarms.answer.read({ alarms: [alarm(id, more)], next: 0 }).alarms;
  assert.ok(one);
  return one;
}

/** A monitor that holds these alarms and answers in pages of two. */
function monitorOf(alarms: readonly JsonObject[]): Requester & { asked: object[] } {
  const asked: object[] = [];
  const request: Requester["request"] = async (head) => {
    asked.push(head);
    const since = "since" in head && typeof head.since === "number" ? head.since : 0;
    const page = alarms.filter(({ id }) => typeof id === "number" && id > since).slice(0, 2);
    return answerOf({ alarms: page, next: page.at(-1)?.["id"] ?? since });
  };
  return { asked, request };
}

function answerOf(head: JsonObject): Awaited<ReturnType<Requester["request"]>> {
  return { head, attachment: Buffer.alloc(0) };
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

const STUCK: Requester = { request: async () => answerOf({ alarms: [alarm(1)], next: 1 }) };

test("a monitor that tells the same page for ever is given up", async () => {
  await assert.rejects(readAlarms(STUCK), { code: "ERR_ALARMS" });
});

test("only open critical alarms need attention at once", () => {
  assert.equal(isOpenCritical(parsed(1)), true);
  assert.equal(isOpenCritical(parsed(1, { closed: "drill" })), false);
  assert.equal(isOpenCritical(parsed(1, { severity: "warning" })), false);
});

test("an alarm in another form is a coded error", async () => {
  for (const value of [
    null,
    1,
    [],
    {},
    alarm(1, { id: "1" }),
    alarm(1, { severity: 3 }),
    alarm(-1),
  ]) {
    const request = async () => answerOf({ alarms: [value], next: 1 });
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await assert.rejects(readAlarms({ request }), { code: "ERR_REQUEST_MEMBER" });
  }
});

test("what an attacker put into a detail is shown, and does nothing to the terminal", () => {
  const text = alarmTable([parsed(7, { detail: { from: "\u001b[2J\u009b" }, closed: "x" })]);
  assert.match(text, /^[\n -~]*$/);
  assert.match(text, /7 +1970-01-01T00:16:47Z +critical \(closed\) +forged +1 +- +\{"from":/);
});
