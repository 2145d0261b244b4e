import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CborValue, decodeCbor } from "./cbor.ts";
import { EvidenceError } from "./evidence-error.ts";
import { cbor, cborHead } from "./testing/cbor-writer.ts";

const options = { what: "doc", maxBytes: 4096 };

function decode(hex: string): CborValue {
  return decodeCbor(Buffer.from(hex, "hex"), options);
}

const malformed = { name: "EvidenceError", code: "ERR_EVIDENCE_FORMAT" };
const tooLarge = { name: "EvidenceError", code: "ERR_EVIDENCE_SIZE", part: "doc" };

test("RFC 8949 appendix A: what is accepted", () => {
  const accepted: Readonly<Record<string, CborValue>> = {
    "00": 0,
    "17": 23,
    "1818": 24,
    "1903e8": 1000,
    "1a000f4240": 1_000_000,
    "1b000000e8d4a51000": 1_000_000_000_000,
    "1b001fffffffffffff": Number.MAX_SAFE_INTEGER,
    "20": -1,
    "3903e7": -1000,
    "40": Buffer.alloc(0),
    "4401020304": Buffer.of(1, 2, 3, 4),
    "60": "",
    "62c3bc": "ü",
    "63efbbbf": "\u{feff}",
    "8301820203820405": [1, [2, 3], [4, 5]],
    a201020304: new Map([
      [1, 2],
      [3, 4],
    ]),
    a26161016162820203: new Map<string, CborValue>([
      ["a", 1],
      ["b", [2, 3]],
    ]),
    // A number and its digits are two keys.
    a20101613102: new Map<number | string, CborValue>([
      [1, 1],
      ["1", 2],
    ]),
    f4: false,
    f5: true,
    f6: null,
  };
  for (const [hex, value] of Object.entries(accepted)) assert.deepEqual(decode(hex), value, hex);
});

test("what two readers could read differently is refused", () => {
  const refused: Readonly<Record<string, string>> = {
    "1817": "not minimal",
    "1900ff": "not minimal",
    "1a0000ffff": "not minimal",
    "1b00000000ffffffff": "not minimal",
    "5800": "not minimal",
    "9f01ff": "indefinite or reserved length",
    bf0102ff: "indefinite or reserved length",
    "5f4101ff": "indefinite or reserved length",
    "1c": "indefinite or reserved length",
    a201010102: "key twice",
    a2616101616102: "key twice",
    a1f601: "kind of key",
    a1410101: "kind of key",
    "62c328": "invalid UTF-8",
    "63eda080": "invalid UTF-8",
    "1b0020000000000000": "integer out of range",
    "3b0020000000000000": "integer out of range",
    f7: "float or simple value",
    f0: "float or simple value",
    f818: "float or simple value",
    f93c00: "float or simple value",
    fb3ff199999999999a: "float or simple value",
    c001: "unexpected tag",
    d200: "unexpected tag",
  };
  for (const [hex, problem] of Object.entries(refused)) {
    assert.throws(() => decode(hex), { ...malformed, message: `doc: CBOR, ${problem}` }, hex);
  }
});

test("what is cut off or goes on is refused", () => {
  for (const hex of ["", "18", "42", "61", "81", "a101", "0000", "5b001fffffffffffff"]) {
    assert.throws(() => decode(hex), malformed, hex);
  }
});

test("only the tag that the caller expects, once and outermost", () => {
  const tagged = { ...options, optionalTag: 18 };
  assert.equal(decodeCbor(Buffer.of(0xd2, 1), tagged), 1);
  assert.equal(decodeCbor(Buffer.of(1), tagged), 1);
  for (const bytes of [[0xd1, 1], [0xd2, 0xd2, 1], [0x81, 0xd2, 1], [0xd8, 18, 1], [0xd2]]) {
    assert.throws(() => decodeCbor(Buffer.from(bytes), tagged), malformed);
  }
});

function zeros(count: number): Buffer {
  return Buffer.concat([cborHead(4, count), Buffer.alloc(count)]);
}

function nested(depth: number): Buffer {
  return Buffer.concat([Buffer.alloc(depth, 0x81), Buffer.of(0)]);
}

test("size, depth and number of items are bounded", () => {
  assert.deepEqual(
    decodeCbor(zeros(511), options),
    Array.from({ length: 511 }, () => 0),
  );
  assert.throws(() => decodeCbor(zeros(512), options), tooLarge);
  decodeCbor(nested(6), options);
  assert.throws(() => decodeCbor(nested(7), options), tooLarge);
  const maps = Buffer.concat([Buffer.from("a100".repeat(7), "hex"), Buffer.of(0)]);
  assert.throws(() => decodeCbor(maps, options), tooLarge);
  decodeCbor(cbor(Buffer.alloc(4093)), options);
  assert.throws(() => decodeCbor(cbor(Buffer.alloc(4094)), options), tooLarge);
  // A count alone allocates nothing.
  assert.throws(() => decode("9b001fffffffffffff"), malformed);
  assert.throws(() => decode("bb001fffffffffffff"), malformed);
});

const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ unit: "grapheme", maxLength: 8 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(fc.oneof(fc.nat(), fc.string({ maxLength: 4 })), tie("value")), {
        maxLength: 4,
        selector: ([key]) => key,
      })
      .map((entries) => new Map(entries)),
  ),
}));

test("reads what was written", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      assert.deepEqual(decodeCbor(cbor(value), { what: "doc", maxBytes: 100_000 }), value);
    }),
  );
});

test("each document has one encoding: what is read writes the same bytes again", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
      try {
        assert.deepEqual(cbor(decodeCbor(bytes, options)), Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof EvidenceError);
      }
    }),
    { numRuns: 3000 },
  );
});

test("mutated documents give a coded error or another value", () => {
  const change = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(anyValue, change, (value, [at, flip]) => {
      const bytes = cbor(value);
      const index = at % bytes.length;
      bytes[index] = (bytes[index] ?? 0) ^ flip;
      try {
        decodeCbor(bytes, options);
      } catch (error) {
        assert.ok(error instanceof EvidenceError);
      }
    }),
    { numRuns: 1000 },
  );
});
