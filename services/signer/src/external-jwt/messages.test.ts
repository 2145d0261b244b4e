import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import {
  decodeEmptyRequest,
  decodeSignRequest,
  encodeFetchKeysResponse,
  encodeMetadataResponse,
  encodeSignResponse,
} from "./messages.ts";
import { ProtobufWriter } from "./protobuf.ts";
import { decodeMessage, encodeMessage } from "./testing/proto.ts";

const wellFormed = fc.string({ unit: "grapheme", maxLength: 300 });
const seconds = fc.maxSafeNat();

/** Field 1 with a text of one letter. */
const CLAIMS = "0a0161";

function outcome(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    if (error instanceof ServiceError) return error.code;
    throw error;
  }
}

function decodeHex(hex: string): unknown {
  return outcome(() => decodeSignRequest(Buffer.from(hex, "hex")));
}

describe("messages of ExternalJWTSigner", () => {
  it("a request is read as another implementation wrote it", () => {
    fc.assert(
      fc.property(wellFormed, (claims) => {
        assert.equal(decodeSignRequest(encodeMessage("SignJWTRequest", { claims })), claims);
      }),
    );
    for (const name of ["FetchKeysRequest", "MetadataRequest"])
      assert.equal(decodeEmptyRequest(encodeMessage(name)), undefined);
  });

  it("answers are read by another implementation as they were meant", () => {
    const key = fc.record({ keyId: wellFormed, key: fc.uint8Array({ maxLength: 600 }) });
    fc.assert(
      fc.property(fc.array(key, { maxLength: 4 }), seconds, seconds, (keys, time, hint) => {
        const bytes = encodeFetchKeysResponse({
          keys: keys.map((one) => ({ ...one, key: Buffer.from(one.key) })),
          dataTimestampSeconds: time,
          refreshHintSeconds: hint,
        });
        assert.deepEqual(decodeMessage("FetchKeysResponse", bytes), {
          keys: keys.map((one) => ({
            key_id: one.keyId,
            key: Buffer.from(one.key),
            exclude_from_oidc_discovery: false,
          })),
          data_timestamp: { seconds: time, nanos: 0 },
          refresh_hint_seconds: hint,
        });
      }),
    );
    fc.assert(
      fc.property(wellFormed, wellFormed, seconds, (header, signature, max) => {
        const signed = decodeMessage("SignJWTResponse", encodeSignResponse(header, signature));
        assert.deepEqual(signed, { header, signature });
        const metadata = decodeMessage("MetadataResponse", encodeMetadataResponse(max));
        assert.deepEqual(metadata, { max_token_expiration_seconds: max });
      }),
    );
  });

  it("numbers that no message has are our own mistake", () => {
    for (const value of [-1, 0.5, Number.NaN, 2 ** 53])
      assert.throws(() => new ProtobufWriter().integer(1, value), RangeError);
  });

  it("proto3: fields that are not known yet are passed over, before and after the known one", () => {
    const unknown = [
      "1001", // 2, varint
      "10ffffffffffffffffff01", // 2, the largest varint
      "190000000000000000", // 3, 64 bits
      "2200", // 4, empty
      "220361c328", // 4, bytes that are no text
      "2d00000000", // 5, 32 bits
      "f8ffffff0f00", // 536870911, the largest number
      "9a8000026162", // 3 in a tag that is longer than need be
    ];
    for (const field of unknown)
      for (const hex of [field + CLAIMS, CLAIMS + field]) assert.equal(decodeHex(hex), "a", hex);
    for (const field of unknown)
      assert.equal(decodeEmptyRequest(Buffer.from(field, "hex")), undefined);
    assert.equal(decodeHex(""), "");
  });

  const malformed: readonly (readonly [string, string])[] = [
    ["a tag that does not end", "8a"],
    ["a tag over 32 bits", "8a8080801061"],
    ["a tag of six bytes", "8a80808080000161"],
    ["field number 0", "020161"],
    ["a length that does not end", "0a"],
    ["a length beyond the end", "0a0261"],
    ["a length over 32 bits", "0affffffff1f61"],
    ["a varint of eleven bytes", "10ffffffffffffffffffff01"],
    ["a varint over 64 bits", "10ffffffffffffffffff02"],
    ["a varint that does not end", "10ff"],
    ["64 bits that end early", "1900000000000000"],
    ["32 bits that end early", "2d000000"],
    ["the start of a group", "2b2c"],
    ["the end of a group", "2c"],
    ["wire type 6", "2e"],
    ["wire type 7", "2f"],
    ["claims of another type", "0801"],
    ["claims given twice", CLAIMS + CLAIMS],
    ["claims that are not UTF-8", "0a02c328"],
    ["claims with a surrogate", "0a03eda080"],
  ];
  for (const [name, hex] of malformed)
    it(`refuses ${name}`, () => {
      assert.equal(decodeHex(hex), "ERR_WIRE_FRAME");
    });

  it("THREAT-26: 64 fields are read, 65 are too many", () => {
    assert.equal(decodeHex("1000".repeat(63) + CLAIMS), "a");
    assert.equal(decodeHex("1000".repeat(64) + CLAIMS), "ERR_WIRE_FRAME");
  });

  it("throws nothing but its own error, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const decode of [decodeSignRequest, decodeEmptyRequest])
          if (outcome(() => decode(Buffer.from(bytes))) === "ERR_WIRE_FRAME") return;
      }),
      { numRuns: 2000 },
    );
  });

  it("reads what another implementation reads, where it reads anything", () => {
    const field = fc.uint8Array({ maxLength: 12 });
    fc.assert(
      fc.property(fc.array(field, { maxLength: 4 }), (fields) => {
        const bytes = Buffer.concat(fields);
        const own = outcome(() => decodeSignRequest(bytes));
        if (own === "ERR_WIRE_FRAME") return;
        assert.equal(decodeMessage("SignJWTRequest", bytes)["claims"], own);
      }),
      { numRuns: 2000 },
    );
  });
});
