import assert from "node:assert/strict";
import { test } from "node:test";
import { joinSignerKeys } from "./key-sources.ts";

const FETCHED = {
  keys: [
    { kid: "a", state: "active" },
    { kid: "t", state: "tainted" },
  ],
};
const RINGS = {
  rings: [
    {
      keys: [
        { kid: "a", state: "active", held: true },
        { kid: "s", state: "prepublished", held: true },
      ],
    },
  ],
};

test("both answers of a signer, joined by kid; what is in no ring is not its to hold", () => {
  assert.deepEqual(
    joinSignerKeys(FETCHED, RINGS),
    new Map([
      ["a", { state: "active", held: true }],
      ["t", { state: "tainted", held: null }],
      ["s", { state: "prepublished", held: true }],
    ]),
  );
});
