import assert from "node:assert/strict";
import { test } from "node:test";
import { EvidenceError } from "./evidence-error.ts";

test("says what was found and what was expected", () => {
  const cause = new Error("below");
  const error = new EvidenceError("ERR_EVIDENCE_BINDING", "Chip mismatch", {
    part: "report.chipId",
    found: "aa",
    expected: "bb",
    cause,
  });
  assert.equal(error.message, "Chip mismatch: found aa, expected bb");
  assert.equal(error.cause, cause);
  assert.deepEqual([error.part, error.found, error.expected], ["report.chipId", "aa", "bb"]);
});

test("is silent about what it was not told", () => {
  const error = new EvidenceError("ERR_EVIDENCE_FORMAT", "Not a report");
  assert.equal(error.message, "Not a report");
  assert.equal("cause" in error, false);
});
