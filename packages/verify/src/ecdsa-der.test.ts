import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EcdsaDer } from "./ecdsa-der.ts";

/** X.690 §8.3 over big integers: slow, and nothing like the code under test. */
function referenceDer(signature: Uint8Array): string {
  const integers = [signature.subarray(0, 32), signature.subarray(32)].map((half) => {
    const digits = BigInt(`0x${Buffer.from(half).toString("hex")}`).toString(16);
    const even = digits.length % 2 === 0 ? digits : `0${digits}`;
    const content = Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even;
    return `02${byte(content.length / 2)}${content}`;
  });
  const body = integers.join("");
  return `30${byte(body.length / 2)}${body}`;
}

function byte(value: number): string {
  return value.toString(16).padStart(2, "0");
}

describe("EcdsaDer", () => {
  const half = fc.oneof(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    // Leading zeros, and a first byte on either side of the sign.
    fc
      .tuple(fc.nat(32), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff))
      .map(([zeros, first]) => new Uint8Array(32).fill(first, zeros)),
  );

  it("writes what X.690 says, whatever it wrote before", () => {
    const der = new EcdsaDer();
    fc.assert(
      fc.property(half, half, (r, s) => {
        const signature = Buffer.concat([r, s]);
        assert.equal(der.encode(signature).toString("hex"), referenceDer(signature));
      }),
      { numRuns: 1000 },
    );
  });

  it("covers every length from the shortest to the longest", () => {
    const der = new EcdsaDer();
    const zero = new Uint8Array(64);
    assert.equal(der.encode(zero).toString("hex"), "3006020100020100");
    const longest = new Uint8Array(64).fill(0xff);
    assert.equal(der.encode(longest).length, 72);
    assert.equal(der.encode(zero).toString("hex"), "3006020100020100");
  });
});
