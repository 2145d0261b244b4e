import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32c } from "./crc32c.ts";

describe("CRC32C", () => {
  const numbers = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
  // RFC 3720 §B.4, as numbers.
  const vectors: readonly (readonly [string, Uint8Array, number])[] = [
    ["32 bytes of zeroes", Buffer.alloc(32), 0x8a9136aa],
    ["32 bytes of ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
    ["32 bytes that count up", numbers, 0x46dd794e],
    ["32 bytes that count down", numbers.toReversed(), 0x113fdb5c],
    ["the digits 1 to 9", Buffer.from("123456789"), 0xe3069283],
    ["nothing", Buffer.alloc(0), 0],
  ];
  for (const [name, bytes, sum] of vectors)
    it(`is that of the vector: ${name}`, () => assert.equal(crc32c(bytes), sum));
});
