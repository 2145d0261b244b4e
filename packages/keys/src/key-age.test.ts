import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keyAge, signingEnd } from "./key-age.ts";

const NOW = 1_700_000_000;
const policy = { expirySeconds: 1000, alarmAtPercent: 80, notifySeconds: 500 };

function activeKey(signUntil = NOW + 86_400) {
  return { activatedAt: NOW, record: { signUntil } };
}

describe("the age of a key", () => {
  it("is an alarm at 80 % and the end at 100 %, on both sides of each", () => {
    const key = activeKey();
    const levels = [0, 499, 500, 799, 800, 810, 999, 1000, 1010].map((seconds) => {
      const age = keyAge(key, policy, NOW + seconds);
      return [seconds, age?.percent, age?.level];
    });
    assert.deepEqual(levels, [
      [0, 0, "young"],
      [499, 49, "young"],
      [500, 50, "notify"],
      [799, 79, "notify"],
      [800, 80, "alarm"],
      [810, 81, "alarm"],
      [999, 99, "alarm"],
      [1000, 100, "stop"],
      [1010, 101, "stop"],
    ]);
  });

  it("without Notify is told from the alarm on", () => {
    const silent = { ...policy, notifySeconds: null };
    assert.equal(keyAge(activeKey(), silent, NOW + 799)?.level, "young");
    assert.equal(keyAge(activeKey(), silent, NOW + 800)?.level, "alarm");
  });

  it("ends with the record's window where that is earlier", () => {
    const key = activeKey(NOW + 400);
    assert.equal(signingEnd(key, policy), NOW + 400);
    assert.equal(signingEnd(activeKey(), policy), NOW + 1000);
    const age = keyAge(key, policy, NOW + 320);
    assert.deepEqual([age?.percent, age?.level, age?.endsAt], [80, "alarm", NOW + 400]);
  });

  it("is none before the first activation, and never negative", () => {
    const { activatedAt: _, ...fresh } = activeKey();
    assert.equal(keyAge(fresh, policy, NOW), undefined);
    assert.equal(signingEnd(fresh, policy), fresh.record.signUntil);
    assert.equal(keyAge(activeKey(), policy, NOW - 86_400)?.seconds, 0);
  });
});
