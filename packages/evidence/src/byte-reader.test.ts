import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader } from "./byte-reader.ts";

test("reads numbers of either byte order, and slices", () => {
  const reader = new ByteReader(Uint8Array.from(Array.from({ length: 39 }, (_, i) => i)), "sample");
  assert.equal(reader.u8(), 0);
  assert.equal(reader.u16le(), 0x0201);
  assert.equal(reader.u16be(), 0x0304);
  assert.equal(reader.u32le(), 0x08070605);
  assert.equal(reader.u32be(), 0x090a0b0c);
  assert.equal(reader.u64le(), 0x14131211100f0e0dn);
  assert.equal(reader.u64be(), 0x15161718191a1b1cn);
  assert.equal(reader.offset, 29);
  assert.deepEqual([...reader.bytes(10)], [29, 30, 31, 32, 33, 34, 35, 36, 37, 38]);
  assert.equal(reader.left, 0);
  reader.end();
});

test("refuses what is cut off, and says where", () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3), "sample");
  reader.u16be();
  assert.throws(() => reader.u16be(), {
    name: "EvidenceError",
    code: "ERR_EVIDENCE_FORMAT",
    part: "sample[2]",
    message: "sample is cut off: found 1, expected 2",
  });
});

test("refuses trailing bytes", () => {
  const reader = new ByteReader(Uint8Array.of(1), "sample");
  assert.throws(() => reader.end(), { code: "ERR_EVIDENCE_FORMAT", part: "sample[0]", found: 1 });
});

test("refuses a reserved byte that is set", () => {
  new ByteReader(new Uint8Array(4), "sample").zeros(4);
  assert.throws(() => new ByteReader(Uint8Array.of(0, 0, 1), "sample").zeros(3), {
    code: "ERR_EVIDENCE_FORMAT",
    message: "sample: reserved bytes are set",
  });
});
