import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  checkTransition,
  isPublished,
  KEY_STATES,
  needsCustody,
  type KeyState,
} from "./life-cycle.ts";

/** ARCHITECTURE, "A key", as a table: a row may become the columns that have a mark. */
const TABLE: Readonly<Record<KeyState, string>> = {
  //               gen pre act ver ret des tai rev
  generated: "      .   x   .   .   .   x   x   .",
  prepublished: "   .   .   x   .   x   .   x   .",
  active: "         .   .   .   x   .   .   x   .",
  "verify-only": "  .   .   x   .   x   .   x   .",
  retired: "        .   .   .   .   .   x   x   .",
  destroyed: "      .   .   .   .   .   .   x   .",
  tainted: "        .   .   .   .   .   .   .   x",
  revoked: "        .   .   .   .   .   .   .   .",
};

describe("key states", () => {
  for (const from of KEY_STATES)
    it(`from ${from} lead only where the life cycle says`, () => {
      const marks = TABLE[from].trim().split(/\s+/);
      assert.equal(marks.length, KEY_STATES.length);
      for (const [i, to] of KEY_STATES.entries()) {
        if (marks[i] === "x") checkTransition(from, to);
        else assert.throws(() => checkTransition(from, to), { code: "ERR_KEY_TRANSITION" }, to);
      }
    });

  it("are published while relying parties need the key", () => {
    assert.deepEqual(KEY_STATES.filter(isPublished), ["prepublished", "active", "verify-only"]);
  });

  it("need the private half while the key signs or is to sign", () => {
    assert.deepEqual(KEY_STATES.filter(needsCustody), ["generated", "prepublished", "active"]);
  });
});
