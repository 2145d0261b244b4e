import assert from "node:assert/strict";
import { test } from "node:test";
import { catchUp } from "./catch-up.ts";

test("P4: a monitor that starts from nothing, or comes back to a log that grew, reads it to its end", async () => {
  const looks = await catchUp(10_000, 20_000);
  assert.deepEqual(
    looks.map(({ read }) => read),
    [10_000, 30_000],
  );
  const [first, second] = looks.map(({ alarms }) => alarms);
  // Who delivered what was logged before the first look is known to nobody: one notice.
  assert.deepEqual(first, ["orphaned"]);
  assert.deepEqual(second, []);
});
