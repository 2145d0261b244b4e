import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { canonicalJson } from "./canonical.ts";
import type { JsonObject } from "./json.ts";
import { PinnedKey } from "./pinned-key.ts";
import {
  readAcknowledgement,
  readEvidenceAnswer,
  sealReport,
  type Acknowledged,
} from "./report-message.ts";
import { NOW } from "./testing/fixture.ts";
import { pinOf, signText, testKey } from "./testing/keys.ts";

const REPORT = sealReport("session", 3, {
  items: ["a", "b"].map((digest) => ({ digest, kid: "k1", at: NOW, count: 1 })),
  isClosing: false,
});
const EXPECTED = {
  reporter: "orders-1",
  session: "session",
  ackKey: new PinnedKey(pinOf(testKey("monitor-ack"))),
};
const ACK = {
  v: 1,
  reporter: "orders-1",
  session: "session",
  seq: 3,
  items: 2,
  sha256: hash("sha256", REPORT.body, "base64url"),
  auditAgeSeconds: 0,
};

/** Reads an answer whose acknowledgement is signed, with members beside it. */
function read(changes: JsonObject = {}, more: JsonObject = {}): Acknowledged | undefined {
  const ack = { ...ACK, ...changes };
  const sig = signText(testKey("monitor-ack"), `redoubt/ack/v1\n${canonicalJson(ack)}`);
  const answer: JsonObject = { ack, sig, ...more };
  return readAcknowledgement(Buffer.from(JSON.stringify(answer)), REPORT, EXPECTED);
}

describe("readAcknowledgement()", () => {
  it("P4, THREAT-31: is of exactly this report", () => {
    assert.deepEqual(read(), { refused: [], evidenceWanted: [], auditAgeSeconds: 0 });
    for (const changes of [
      { v: 2 },
      { reporter: "orders-2" },
      { session: "other" },
      { seq: 4 },
      { items: 1 },
      { sha256: hash("sha256", "other", "base64url") },
      { auditAgeSeconds: -1 },
      { auditAgeSeconds: "0" },
      { auditAgeSeconds: null },
    ])
      assert.equal(read(changes), undefined, JSON.stringify(changes));
  });

  it("is an object that the monitor signed", () => {
    for (const more of [
      { ack: null },
      { ack: "ack" },
      { ack: [] },
      { sig: null },
      { sig: "" },
      { sig: "AA" },
      { sig: "+" },
      { sig: Buffer.alloc(64).toString("base64url") },
    ])
      assert.equal(read({}, more), undefined, JSON.stringify(more));
    for (const body of ["", "null", "[]", "{}"])
      assert.equal(readAcknowledgement(Buffer.from(body), REPORT, EXPECTED), undefined, body);
  });

  it("accounts for each item: taken, or refused by its number, once", () => {
    assert.deepEqual(read({ items: 1 }, { refused: [{ index: 1 }] })?.refused, ["b"]);
    assert.deepEqual(read({ items: 0 }, { refused: [{ index: 1 }, { index: 0 }] })?.refused, [
      "b",
      "a",
    ]);
    for (const [items, refused] of [
      [2, [{ index: 1 }]],
      [1, {}],
      [1, "b"],
      [2, null],
      [1, [1]],
      [1, [{ index: 2 }]],
      [1, [{ index: "1" }]],
      [0, [{ index: 1 }, { index: 1 }]],
      [-1, [{ index: 0 }, { index: 1 }, { index: 1 }]],
    ] as const)
      assert.equal(read({ items }, { refused }), undefined, JSON.stringify(refused));
  });

  it("takes what is wanted as a list of texts, and leaves out the rest", () => {
    for (const [wanted, expected] of [
      [["d", 1, null], ["d"]],
      ["d", []],
      [{ length: 1 }, []],
    ] as const)
      assert.deepEqual(read({}, { evidenceWanted: wanted })?.evidenceWanted, expected);
    const many = Array.from({ length: 1001 }, (_, i) => `d${i}`);
    assert.equal(read({}, { evidenceWanted: many })?.evidenceWanted.length, 1000);
  });
});

describe("readEvidenceAnswer()", () => {
  it("an answer that says nothing, or nothing that can be read, took all", () => {
    for (const body of ["", "{}", '{"refused":[{"index":9}]}'])
      assert.deepEqual(readEvidenceAnswer(Buffer.from(body), ["a"]), [], body);
    assert.deepEqual(readEvidenceAnswer(Buffer.from('{"refused":[{"index":0}]}'), ["a"]), ["a"]);
  });
});
