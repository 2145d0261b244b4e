import assert from "node:assert/strict";
import { test } from "node:test";
import { ProcessWatch, viewOf, type ProcessView } from "./watches.ts";

const CHILD = { isReady: true, pid: 7, restarts: 0 };

test("a process that does not answer, does not run, or says so itself is not shown as ready", () => {
  const cases = [
    [CHILD, { ready: true, size: 3 }, { ready: true, size: 3 }],
    // Services without a word about it are ready once they said so to the supervisor.
    [CHILD, { size: 3 }, { ready: true, size: 3 }],
    [CHILD, undefined, { ready: false, reason: "does not answer" }],
    [CHILD, { ready: false, reason: "no key" }, { ready: false, reason: "no key" }],
    [{ ...CHILD, isReady: false }, { ready: true }, { ready: false, reason: "is starting" }],
    [{ ...CHILD, isReady: false }, {}, { ready: false, reason: "is starting" }],
  ] as const;
  for (const [child, status, expected] of cases)
    assert.deepEqual(viewOf(child, status), { ...expected, pid: 7, restarts: 0 });
  const gone = viewOf({ isReady: false, pid: undefined, restarts: 2 }, undefined);
  assert.deepEqual(gone, { ready: false, reason: "does not run", restarts: 2 });
});

/** Looks every 5 s; what was logged, with the second. */
function watched(view: (second: number) => ProcessView, seconds: number): string[] {
  const lines: string[] = [];
  let second = 0;
  const watch = new ProcessWatch((event, { kind, process, reason = "" } = {}) =>
    lines.push([second, event, kind, process, reason].join(" ").trim()),
  );
  for (; second <= seconds; second += 5)
    watch.look(new Map([["monitor", view(second)]]), second * 1000);
  return lines;
}

const away = (second: number): ProcessView =>
  second >= 10 && second < 200
    ? { ready: false, reason: "does not answer", restarts: 0 }
    : { ready: true, restarts: 0 };

/** A slow start, one restart, one short freeze. */
const ordinary = (second: number): ProcessView => ({
  ready: second >= 25 && (second < 100 || second >= 125),
  restarts: second >= 50 ? 1 : 0,
});

const looping = (second: number): ProcessView => ({ ready: true, restarts: second });

test("P4: a monitor that is away for 30 s is one alarm from outside, and one line when it is back", () => {
  assert.deepEqual(watched(away, 300), [
    "40 alarm not-ready monitor does not answer",
    "200 alarm_over not-ready monitor",
  ]);
});

test("a restart, a start of 25 s and a short freeze raise nothing; being started again and again does", () => {
  assert.deepEqual(watched(ordinary, 300), []);
  assert.deepEqual(watched(looping, 60), ["35 alarm not-ready monitor is started again and again"]);
});
