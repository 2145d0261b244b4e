import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { contextPrimitive, contextTag, DER_TAGS, DerReader, readDer } from "./der.ts";
import { derBitString, derBoolean, derNumber, derOid, derTime, derUnsigned } from "./der-values.ts";
import { EvidenceError } from "./evidence-error.ts";
import {
  boolean,
  der,
  integer,
  octets,
  oid,
  sequence,
  time,
  utcTime,
} from "./testing/der-writer.ts";

const malformed = { name: "EvidenceError", code: "ERR_EVIDENCE_FORMAT", part: "x" };

function node(bytes: Uint8Array) {
  return new DerReader(bytes, "x").any();
}

test("reads elements in order, with short and long lengths", () => {
  const long = octets(Buffer.alloc(300, 7));
  const reader = new DerReader(sequence(integer(5), long, boolean(true)), "x").enter(0x30);
  assert.equal(reader.isEmpty, false);
  assert.equal(derNumber(reader.next(DER_TAGS.integer), "x"), 5);
  assert.equal(reader.optional(DER_TAGS.boolean), undefined);
  const read = reader.next(DER_TAGS.octetString);
  assert.equal(read.value.length, 300);
  assert.deepEqual(read.encoded, long);
  assert.equal(reader.optional(DER_TAGS.boolean)?.value[0], 0xff);
  assert.equal(reader.isEmpty, true);
  reader.end();
  assert.equal(readDer(der(contextTag(3), integer(1)), 0xa3, "x").tag, 0xa3);
  assert.equal(contextPrimitive(1), 0x81);
});

test("takes the largest length of each size", () => {
  for (const size of [0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000]) {
    assert.equal(readDer(octets(Buffer.alloc(size)), 0x04, "x").value.length, size);
  }
});

test("refuses another tag, nothing, and what is left", () => {
  assert.throws(() => readDer(integer(1), DER_TAGS.sequence, "x"), {
    ...malformed,
    found: 2,
    expected: 0x30,
  });
  assert.throws(() => readDer(Buffer.alloc(0), 2, "x"), {
    ...malformed,
    message: "x: DER, cut off",
  });
  assert.throws(() => readDer(Buffer.concat([integer(1), integer(1)]), 2, "x"), malformed);
});

const bad: Readonly<Record<string, readonly number[]>> = {
  "a tag of two bytes": [0x1f, 0x01, 0x00],
  "no length": [0x04],
  "an indefinite length": [0x24, 0x80, 0x00, 0x00],
  "a length of four bytes": [0x04, 0x84, 0, 0, 0, 1, 1],
  "a long form that a short one would do": [0x04, 0x81, 0x01, 0x00],
  "a length with a leading zero": [0x04, 0x82, 0x00, 0x80, ...Array.from({ length: 128 }, () => 0)],
  "a length cut off": [0x04, 0x82, 0x01],
  "contents cut off": [0x04, 0x02, 0x00],
};
for (const [name, bytes] of Object.entries(bad)) {
  test(`refuses ${name}`, () => {
    assert.throws(() => readDer(Buffer.from(bytes), bytes[0] ?? 0, "x"), malformed);
  });
}

test("object identifiers are read whole", () => {
  for (const dotted of ["0.9.2342", "1.2.840.113549.1.1.10", "2.5.29.15", "2.999.3", "1.2.16384"]) {
    assert.equal(derOid(node(oid(dotted)), "x"), dotted);
  }
  for (const bytes of [
    [],
    [0x2a, 0x80, 0x01],
    [0x80, 0x01],
    [0x2a, 0x86],
    Array.from({ length: 33 }, () => 1),
  ]) {
    assert.throws(() => derOid(node(der(6, Buffer.from(bytes))), "x"), malformed);
  }
  assert.equal(derOid(node(der(6, Buffer.alloc(32, 1))), "x").split(".").length, 33);
});

test("integers are shortest and not negative", () => {
  assert.equal(derNumber(node(integer(0)), "x"), 0);
  assert.equal(derNumber(node(integer(128)), "x"), 128);
  assert.equal(derNumber(node(integer(2 ** 48 - 1)), "x"), 2 ** 48 - 1);
  assert.equal(derUnsigned(node(integer(255)), "x").toString("hex"), "ff");
  assert.throws(() => derNumber(node(integer(2 ** 48)), "x"), malformed);
  for (const bytes of [[], [0x80], [0x00, 0x7f], [0x00, 0x00]]) {
    assert.throws(() => derUnsigned(node(der(2, Buffer.from(bytes))), "x"), malformed);
  }
});

test("booleans have two forms", () => {
  assert.equal(derBoolean(node(boolean(true)), "x"), true);
  assert.equal(derBoolean(node(boolean(false)), "x"), false);
  for (const bytes of [[], [1], [0, 0]]) {
    assert.throws(() => derBoolean(node(der(1, Buffer.from(bytes))), "x"), malformed);
  }
});

test("bit strings are of whole bytes", () => {
  assert.deepEqual([...derBitString(node(der(3, Buffer.of(0, 5))), "x")], [5]);
  assert.throws(() => derBitString(node(der(3, Buffer.of(1, 4))), "x"), malformed);
  assert.throws(() => derBitString(node(der(3)), "x"), malformed);
});

test("times are read to the second, and must exist", () => {
  const leapDay = Date.UTC(2024, 1, 29, 23, 59, 58);
  assert.equal(derTime(node(time(leapDay)), "x"), leapDay);
  assert.equal(derTime(node(utcTime(leapDay)), "x"), leapDay);
  assert.equal(derTime(node(utcTime(Date.UTC(1950, 0, 1))), "x"), Date.UTC(1950, 0, 1));
  assert.equal(derTime(node(utcTime(Date.UTC(2049, 11, 31))), "x"), Date.UTC(2049, 11, 31));
  for (const [tag, text] of [
    [0x18, "20230229000000Z"],
    [0x18, "20240101240000Z"],
    [0x18, "202401010000Z"],
    [0x18, "20240101000000+0000"],
    [0x17, "20240101000000Z"],
    [0x17, "241301000000Z"],
    [0x18, "240101000000Z"],
    [0x04, "20240101000000Z"],
  ] as const) {
    assert.throws(() => derTime(node(der(tag, Buffer.from(text))), "x"), malformed);
  }
});

test("any bytes give an element or a coded error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        const read = node(bytes);
        for (const value of [derOid, derUnsigned, derNumber, derBoolean, derBitString, derTime]) {
          try {
            value(read, "x");
          } catch (error) {
            assert.ok(error instanceof EvidenceError);
          }
        }
      } catch (error) {
        assert.ok(error instanceof EvidenceError);
      }
    }),
  );
});
