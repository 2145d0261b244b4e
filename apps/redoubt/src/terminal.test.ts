import assert from "node:assert/strict";
import { test } from "node:test";
import { openTerminal } from "./terminal.ts";

function capture(isJson: boolean) {
  const written = { out: "", err: "" };
  const terminal = openTerminal(isJson, {
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
  });
  return { terminal, written };
}

test("a person gets text, a program gets one line of JSON", () => {
  for (const [isJson, expected] of [
    [false, "two\nlines\n"],
    [true, '{"a":1}\n'],
  ] as const) {
    const { terminal, written } = capture(isJson);
    terminal.result({ json: { a: 1 }, text: "two\nlines" });
    assert.equal(written.out, expected);
    assert.equal(written.err, "");
  }
});

test("notices never mix with results", () => {
  const { terminal, written } = capture(true);
  terminal.notice("on the way");
  terminal.line({ json: 1, text: "" });
  assert.deepEqual(written, { out: "1\n", err: "on the way\n" });
});
