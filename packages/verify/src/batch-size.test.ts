import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isContentRefusal } from "./batch-size.ts";

describe("isContentRefusal()", () => {
  it("is true for what speaks of the content, and for nothing beside it", () => {
    const statuses = [200, 399, 400, 401, 403, 404, 412, 413, 414, 421, 422, 423, 429, 500, 503];
    assert.deepEqual(statuses.filter(isContentRefusal), [400, 413, 422]);
  });
});
