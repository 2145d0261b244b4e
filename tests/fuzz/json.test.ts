import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareJsonReaders } from "../../packages/verify/src/testing/json-differential.ts";

const DOCUMENTS = 25_000;

describe("the strict JSON reader", () => {
  it("THREAT-26: agrees with an independent reader on documents of a new seed", () => {
    // Another seed for each hour, so that every run of CI looks at other documents; a difference names its seed.
    const seed = Math.floor(Date.now() / 3_600_000);
    const { accepted, refused, differences } = compareJsonReaders(DOCUMENTS, seed);
    assert.deepEqual(differences, []);
    assert.equal(accepted + refused, DOCUMENTS);
    assert.equal(Math.min(accepted, refused) > DOCUMENTS / 5, true, `${accepted} accepted`);
  });
});
