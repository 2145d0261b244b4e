import assert from "node:assert/strict";
import { test } from "node:test";
import { fileBytes, Histogram } from "./metrics.ts";

test("a histogram counts a value in the first bucket that it fits in, its bound included", () => {
  const histogram = new Histogram([1, 10]);
  assert.deepEqual(histogram.read(), { value: 0, counts: [0, 0, 0] });
  for (const value of [0, 1, 1.5, 10, 10.5, 1000]) histogram.observe(value);
  assert.deepEqual(histogram.read(), { value: 1023, counts: [2, 2, 2] });
});

test("a file that is not there has no bytes", () => {
  assert.equal(fileBytes("/nowhere/at/all"), 0);
  assert.ok(fileBytes(import.meta.filename) > 0);
});
