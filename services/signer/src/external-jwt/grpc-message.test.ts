import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import { frameMessage, UnaryMessage } from "./grpc-message.ts";
import { GRPC_STATUS, grpcStatusOf, parseTimeout, percentEncode } from "./grpc-status.ts";

const MAX = 100;

function read(chunks: readonly Uint8Array[]): Buffer {
  const message = new UnaryMessage(MAX);
  for (const chunk of chunks) message.push(Buffer.from(chunk));
  return message.end();
}

function codeOf(take: () => unknown): string {
  try {
    take();
  } catch (error) {
    if (error instanceof ServiceError) return error.code;
    throw error;
  }
  return "read";
}

describe("the message of a unary call", () => {
  it("is the same in whatever pieces it comes", () => {
    const message = fc.uint8Array({ maxLength: MAX });
    fc.assert(
      fc.property(message, fc.array(fc.nat(MAX + 5), { maxLength: 5 }), (bytes, cuts) => {
        const framed = frameMessage(Buffer.from(bytes));
        const places = [0, ...cuts.toSorted((a, b) => a - b), framed.length];
        const chunks = places.slice(1).map((end, i) => framed.subarray(places[i], end));
        assert.deepEqual(read(chunks), Buffer.from(bytes));
      }),
    );
  });

  const good = frameMessage(Buffer.from("abc"));
  const refused: readonly (readonly [string, Buffer, string])[] = [
    ["nothing", Buffer.alloc(0), "ERR_GRPC_CARDINALITY"],
    ["half a prefix", good.subarray(0, 4), "ERR_WIRE_FRAME"],
    ["half a message", good.subarray(0, 7), "ERR_WIRE_FRAME"],
    ["a prefix alone", good.subarray(0, 5), "ERR_WIRE_FRAME"],
    ["a byte too many", Buffer.concat([good, Buffer.of(0)]), "ERR_GRPC_CARDINALITY"],
    ["two messages", Buffer.concat([good, good]), "ERR_GRPC_CARDINALITY"],
    [
      "a compressed message",
      Buffer.concat([Buffer.of(1), good.subarray(1)]),
      "ERR_GRPC_COMPRESSED",
    ],
    ["an unknown flag", Buffer.concat([Buffer.of(2), good.subarray(1)]), "ERR_WIRE_FRAME"],
    ["a trailer's flag", Buffer.concat([Buffer.of(128), good.subarray(1)]), "ERR_WIRE_FRAME"],
    ["a byte over the bound", frameMessage(Buffer.alloc(MAX + 1)), "ERR_WIRE_TOO_LARGE"],
    ["four gigabytes", Buffer.of(0, 255, 255, 255, 255), "ERR_WIRE_TOO_LARGE"],
  ];
  for (const [name, bytes, code] of refused)
    it(`refuses ${name}, whole or byte by byte`, () => {
      assert.equal(
        codeOf(() => read([bytes])),
        code,
      );
      assert.equal(
        codeOf(() => read([...bytes].map((byte) => Buffer.of(byte)))),
        code,
      );
    });

  it("takes what is exactly at the bound", () => {
    assert.equal(read([frameMessage(Buffer.alloc(MAX))]).length, MAX);
  });

  it("throws nothing but its own error", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => codeOf(() => read([bytes])).length > 0));
  });
});

describe("grpc-timeout", () => {
  it("has a number of one to eight digits and a unit", () => {
    const cases: readonly (readonly [string | undefined, number | undefined])[] = [
      [undefined, undefined],
      ["0S", 0],
      ["5S", 5000],
      ["2M", 120_000],
      ["1H", 3_600_000],
      ["99999999m", 99_999_999],
      ["1000u", 1],
      ["1000000n", 1],
    ];
    for (const [header, ms] of cases) assert.equal(parseTimeout(header), ms, header);
    for (const header of ["", "S", "5", "5s", "-5S", "+5S", "5.5S", "123456789S", "5S, 6S", " 5S"])
      assert.equal(
        codeOf(() => parseTimeout(header)),
        "ERR_WIRE_FRAME",
        header,
      );
  });
});

describe("grpc-status", () => {
  it("maps each kind of refusal, and everything else to a condition that may pass", () => {
    const cases: readonly (readonly [string, keyof typeof GRPC_STATUS])[] = [
      ["ERR_REQUEST_MEMBER", "invalidArgument"],
      ["ERR_SIGNER_AUDIENCE", "permissionDenied"],
      ["ERR_SIGNER_BUSY", "resourceExhausted"],
      ["ERR_SIGNER_SETTING", "failedPrecondition"],
      ["ERR_GRPC_DEADLINE", "deadlineExceeded"],
      ["ERR_SIGNER_UNWITNESSED", "unavailable"],
    ];
    for (const [code, name] of cases)
      assert.deepEqual(grpcStatusOf(new ServiceError(code, "Why")), {
        status: GRPC_STATUS[name],
        message: `${code}: Why`,
      });
  });

  it("of an error that is not ours, nothing leaves", () => {
    for (const error of [new Error("/etc/secret"), "text", undefined])
      assert.deepEqual(grpcStatusOf(error), { status: 13, message: "ERR_INTERNAL" });
  });

  it("grpc-message holds nothing that a header cannot, and reads back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 20 }), (message) => {
        const encoded = percentEncode(message);
        assert.match(encoded, /^[ -~]*$/);
        assert.equal(decodeURIComponent(encoded), message.toWellFormed());
      }),
    );
    assert.equal(percentEncode("a%b\r\nc"), "a%25b%0D%0Ac");
  });
});
