import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import { RemoteError, WireError } from "@redoubt/wire";
import { grpcStatusOf } from "./grpc-status.ts";

describe("grpc-status", () => {
  it("maps each kind of refusal, and everything else to a condition that may pass", () => {
    const cases: readonly (readonly [string, status])[] = [
      ["ERR_REQUEST_MEMBER", status.INVALID_ARGUMENT],
      ["ERR_SIGNER_AUDIENCE", status.PERMISSION_DENIED],
      ["ERR_SIGNER_BUSY", status.RESOURCE_EXHAUSTED],
      ["ERR_FRONT_LIFETIME", status.FAILED_PRECONDITION],
      ["ERR_GRPC_DEADLINE", status.DEADLINE_EXCEEDED],
      ["ERR_SIGNER_OP", status.UNIMPLEMENTED],
      ["ERR_SIGNER_UNWITNESSED", status.UNAVAILABLE],
    ];
    for (const [code, expected] of cases)
      for (const error of [new ServiceError(code, "Why"), new RemoteError(code, "Why")])
        assert.deepEqual(grpcStatusOf(error), { code: expected, details: `${code}: Why` });
  });

  it("of an error that is not ours, nothing leaves", () => {
    for (const error of [new Error("/etc/secret"), "text", undefined])
      assert.deepEqual(grpcStatusOf(error), { code: 13, details: "ERR_INTERNAL" });
    const closed = new WireError("ERR_WIRE_CLOSED", "No connection to /secret/sock: ENOENT");
    assert.deepEqual(grpcStatusOf(closed), {
      code: status.UNAVAILABLE,
      details: "ERR_WIRE_CLOSED: No answer from the signer",
    });
    const late = new WireError("ERR_WIRE_TIMEOUT", "No answer in time");
    assert.equal(grpcStatusOf(late).code, status.DEADLINE_EXCEEDED);
  });

  it("is a text that the library can put into a header, and short", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (message) => {
        const { details } = grpcStatusOf(new RemoteError("ERR_X", message));
        const encoded = encodeURI(details);
        assert.match(encoded, /^[ -~]*$/);
        assert.ok(details.length <= 7 + 200);
      }),
    );
    assert.equal(grpcStatusOf(new RemoteError("ERR_X", "a\ud800")).details, "ERR_X: a\ufffd");
  });
});
