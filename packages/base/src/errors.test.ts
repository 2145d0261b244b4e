import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorCode, errorLine, ServiceError } from "./errors.ts";

describe("errors of a process", () => {
  it("carry code, fields and cause", () => {
    const cause = new Error("inner");
    const error = new ServiceError("ERR_TEST", "Outer", { cause, fields: { size: 3 } });
    assert.equal(error.code, "ERR_TEST");
    assert.equal(error.name, "ServiceError");
    assert.deepEqual(error.fields, { size: 3 });
    assert.equal(error.cause, cause);
    assert.deepEqual(new ServiceError("ERR_TEST", "Outer").fields, {});
  });

  it("have a code, whatever was thrown", () => {
    assert.equal(errorCode(new ServiceError("ERR_TEST", "x")), "ERR_TEST");
    assert.equal(errorCode(Object.assign(new Error("x"), { code: "ENOENT" })), "ENOENT");
    for (const thrown of [new Error("x"), { code: 5 }, "text", null, undefined])
      assert.equal(errorCode(thrown), "ERR_UNEXPECTED");
  });

  it("make one line with the causes", () => {
    const error = new Error("a\n  b", { cause: new Error("c", { cause: "d\te" }) });
    assert.equal(errorLine(error), "a b: c: d e");
    assert.equal(errorLine(Object.create(null)), "Not an error: object");
    const silent = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
    assert.equal(errorLine(silent), "ECONNREFUSED");
  });

  it("make one bounded line of causes that form a ring", () => {
    const error = new Error("ring");
    error.cause = error;
    assert.equal(errorLine(error), Array(9).fill("ring").join(": "));
  });
});
