import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { CompactRange } from "@redoubt/tlog";
import * as fc from "fast-check";
import { batchOf, type Batch } from "./batch.ts";
import { PlaceTable } from "./place-table.ts";

/** Half of the first slots, and some more. */
const COUNT = 70_000;

function batch(digests: Buffer): Batch {
  const range = CompactRange.empty();
  return batchOf(
    { origin: "l", logId: 1, realm: "r", first: 0, digests, range, awaits: "all" },
    { id: 1, readAt: 0, deadline: 0 },
  );
}

describe("table of places", () => {
  it("finds what was set last under equal digests, and nothing else", () => {
    // Few different bytes: many digests are equal, and many differ in one.
    const digest = fc
      .tuple(fc.nat(31), fc.constantFrom(0, 1, 0x80, 0xff))
      .map(([at, byte]) => Buffer.alloc(32).fill(byte, at, at + 1));
    fc.assert(
      fc.property(fc.array(fc.tuple(digest, fc.boolean()), { maxLength: 60 }), (steps) => {
        const table = new PlaceTable();
        const expected = new Map<string, number>();
        const all = batch(Buffer.concat(steps.map(([one]) => one)));
        for (const [offset, [one, isOffered]] of steps.entries()) {
          const key = one.toString("hex");
          if (isOffered) table.offer(all, offset);
          else table.set(all, offset);
          if (!isOffered || !expected.has(key)) expected.set(key, offset);
        }
        assert.equal(table.size, expected.size);
        for (const [key, offset] of expected)
          assert.equal(table.find(Buffer.from(key, "hex"))?.offset, offset);
        assert.equal(table.find(randomBytes(32)), undefined);
      }),
    );
  });

  it("grows beyond its first size, and finds a digest wherever it begins", () => {
    const table = new PlaceTable();
    const all = batch(randomBytes(COUNT * 32));
    for (let offset = 0; offset < COUNT; offset++) table.set(all, offset);
    const shifted = Buffer.concat([Buffer.alloc(5), all.digests]);
    for (let offset = 0; offset < COUNT; offset++)
      assert.equal(table.find(shifted, 5 + 32 * offset)?.offset, offset);
    assert.equal(table.find(all.digests, 1), undefined);
  });

  it("P12: digests that are chosen to begin alike, or to be alike, do not pile up", () => {
    // 20 000 that share all but their last two bytes would take 200 million comparisons on one slot.
    const digests = Buffer.alloc(20_000 * 32, 7);
    for (let i = 0; i < 20_000; i++) digests.writeUInt16BE(i, 32 * i + 30);
    const all = batch(digests);
    const table = new PlaceTable();
    const { user } = process.cpuUsage();
    for (let offset = 0; offset < 20_000; offset++) table.set(all, offset);
    assert.equal(table.size, 20_000);
    assert.ok(process.cpuUsage().user - user < 2_000_000);
  });
});
