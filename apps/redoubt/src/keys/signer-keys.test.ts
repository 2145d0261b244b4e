import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSignerKeys } from "./signer-keys.ts";

const FETCHED = {
  asOf: 1,
  keys: [
    { kid: "a", state: "active", jwk: {} },
    { kid: "t", state: "tainted" },
  ],
};
const RINGS = {
  rings: [
    {
      class: "at",
      keys: [
        { kid: "a", state: "active", held: true, readyAt: null },
        { kid: "s", state: "prepublished", held: true, readyAt: 5 },
      ],
    },
  ],
};

test("both answers of a signer, joined by kid; what is in no ring is not its to hold", () => {
  assert.deepEqual(
    parseSignerKeys(FETCHED, RINGS),
    new Map([
      ["a", { state: "active", held: true }],
      ["t", { state: "tainted", held: null }],
      ["s", { state: "prepublished", held: true, readyAt: 5 }],
    ]),
  );
});

test("an answer of the signer in another form is a coded error", () => {
  for (const answer of [{}, { keys: 1 }, { keys: [1] }, { keys: [{ kid: "x" }] }])
    assert.throws(() => parseSignerKeys(answer, RINGS), { code: "ERR_REQUEST_MEMBER" });
  const key = { kid: "x", state: "active" };
  for (const rings of [{}, { rings: [{}] }, { rings: [{ keys: [key] }] }, { rings: [null] }])
    assert.throws(() => parseSignerKeys(FETCHED, rings), { code: "ERR_REQUEST_MEMBER" });
});
