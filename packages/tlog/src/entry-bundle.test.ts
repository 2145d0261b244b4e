import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeEntryBundle, MAX_ENTRY_BYTES, parseEntryBundle } from "./entry-bundle.ts";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { TILE_WIDTH } from "./tile.ts";

const empty = Buffer.alloc(0);

describe("encodeEntryBundle()", () => {
  it("puts the length in 16 bits, big-endian, before each entry", () => {
    const bundle = encodeEntryBundle([Buffer.from("ab"), empty, Buffer.alloc(258, 7)]);
    assert.deepEqual(bundle.subarray(0, 8), Buffer.from([0, 2, 0x61, 0x62, 0, 0, 1, 2]));
    assert.equal(bundle.length, 2 + 2 + 2 + 0 + 2 + 258);
  });

  it("takes 1 to 256 entries of at most 65,535 bytes", () => {
    assert.equal(encodeEntryBundle([Buffer.alloc(MAX_ENTRY_BYTES)]).length, MAX_ENTRY_BYTES + 2);
    refuses("ERR_TLOG_BUNDLE", () => encodeEntryBundle([Buffer.alloc(MAX_ENTRY_BYTES + 1)]));
    assert.equal(encodeEntryBundle(Array.from({ length: TILE_WIDTH }, () => empty)).length, 512);
    refuses("ERR_TLOG_BUNDLE", () =>
      encodeEntryBundle(Array.from({ length: TILE_WIDTH + 1 }, () => empty)),
    );
    refuses("ERR_TLOG_BUNDLE", () => encodeEntryBundle([]));
  });
});

describe("parseEntryBundle()", () => {
  it("reads back what was written", () => {
    const entries = fc.array(fc.uint8Array({ maxLength: 600 }), {
      minLength: 1,
      maxLength: TILE_WIDTH,
    });
    fc.assert(
      fc.property(entries, (list) => {
        const parsed = parseEntryBundle(encodeEntryBundle(list));
        assert.deepEqual(
          parsed,
          list.map((entry) => Buffer.from(entry)),
        );
      }),
    );
  });

  it("refuses a bundle cut anywhere but between entries", () => {
    const bundle = encodeEntryBundle([Buffer.from("ab"), Buffer.from("c")]);
    for (let end = 0; end < bundle.length; end++)
      if (end === 4) assert.equal(parseEntryBundle(bundle.subarray(0, end)).length, 1);
      else refuses("ERR_TLOG_BUNDLE", () => parseEntryBundle(bundle.subarray(0, end)));
  });

  it("refuses more than 256 entries", () => {
    assert.equal(parseEntryBundle(Buffer.alloc(2 * TILE_WIDTH)).length, TILE_WIDTH);
    refuses("ERR_TLOG_BUNDLE", () => parseEntryBundle(Buffer.alloc(2 * TILE_WIDTH + 2)));
  });

  it("reads only what writing gives again, and throws only its own error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40, max: 5 }), (bytes) => {
        const entries = survives(() => parseEntryBundle(bytes));
        if (entries !== undefined) assert.deepEqual(encodeEntryBundle(entries), Buffer.from(bytes));
      }),
      { numRuns: 1000 },
    );
  });
});
