import assert from "node:assert/strict";
import { test } from "node:test";
import type { SeenAlarm } from "./alarm-book.ts";
import type { SoakResult } from "./soak.ts";
import { violationsOf } from "./violations.ts";

const ALARM: SeenAlarm = { kind: "orphaned", severity: "notice", about: { id: 1 }, during: "kill" };

const KEPT: SoakResult = {
  rounds: 1,
  tokens: 1,
  refused: 9,
  entries: 2,
  lost: [],
  blind: { seconds: 60, during: "kill" },
  verifierBlind: { seconds: 60, during: "kill" },
  slowestRecoveryMs: 1,
  notBack: [],
  falseCritical: [],
  notices: [],
  crowded: [{ ...ALARM, kind: "connections-full" }],
  expected: [{ ...ALARM, kind: "log-closed" }],
  open: [],
  verifier: { verified: 1, acknowledged: 1, refusals: [], queueAlarms: [], dropped: 0 },
  isSettled: true,
};

test("a run that kept the promise has no violation", () => {
  assert.deepEqual(violationsOf(KEPT), []);
});

const BROKEN: readonly Partial<SoakResult>[] = [
  { rounds: 0 },
  { tokens: 0 },
  { lost: ["d"] },
  { blind: { seconds: 60.1, during: "kill" } },
  { verifierBlind: { seconds: 60.1, during: "kill" } },
  { notBack: ["monitor"] },
  { falseCritical: [ALARM] },
  { notices: [ALARM] },
  { open: [ALARM] },
  { isSettled: false },
  { verifier: { ...KEPT.verifier, acknowledged: 0 } },
  { verifier: { ...KEPT.verifier, refusals: ["ERR_KEY_SCOPE", "ERR_KEY_SCOPE"] } },
  { verifier: { ...KEPT.verifier, dropped: 1 } },
];

for (const change of BROKEN)
  test(`one violation: ${JSON.stringify(change)}`, () => {
    assert.equal(violationsOf({ ...KEPT, ...change }).length, 1);
  });
