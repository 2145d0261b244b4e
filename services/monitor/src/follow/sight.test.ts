import assert from "node:assert/strict";
import { test } from "node:test";
import { Sight, type Reading } from "./sight.ts";

const ALL: Reading = { isCurrent: true, distrusted: [], read: 9, size: 9 };

test("P4: blind before the first look, and 30 s after the last one that saw everything", () => {
  let now = 5000;
  const sight = new Sight({ monotonic: () => now });
  assert.equal(sight.failure, "not audited for 0 s");
  sight.looked({ ...ALL, isCurrent: false, size: 10 });
  assert.equal(sight.failure, "not audited for 0 s: 9 of 10 entries are read");
  sight.looked(ALL);
  assert.deepEqual([sight.failure, sight.ageSeconds], [undefined, 0]);
  now += 29_999;
  assert.deepEqual([sight.failure, sight.ageSeconds], [undefined, 29]);
  now += 1;
  // The process was stopped in between: no reading says what is wrong.
  assert.equal(sight.failure, "not audited for 30 s");
  sight.looked({ ...ALL, isCurrent: false });
  assert.equal(sight.failure, "not audited for 30 s: ledger cannot be read");
  sight.looked({ ...ALL, distrusted: ["a", "b"] });
  assert.equal(sight.failure, "not audited for 30 s: nothing is believed of a, b");
  sight.looked(ALL);
  assert.equal(sight.failure, undefined);
});
