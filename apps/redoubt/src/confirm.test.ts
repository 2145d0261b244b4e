import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { confirm } from "./confirm.ts";

/** A terminal at which a person has typed this. */
function typed(text: string, isTTY = true) {
  const output = new PassThrough();
  const input = Object.assign(new PassThrough(), { isTTY });
  input.end(text);
  return { questions: { input, output }, shown: () => String(output.read() ?? "") };
}

test("yes, and nothing but yes, is a confirmation", async () => {
  for (const text of ["yes\n", "  yes \n"]) {
    const { questions, shown } = typed(text);
    await confirm({ questions }, "Tainting key k");
    assert.match(shown(), /^Tainting key k cannot be undone. Type yes to do it: /);
  }
  for (const text of ["", "yes", "\n", "y\n", "YES\n", "no\nyes\n"])
    await assert.rejects(confirm(typed(text), "Tainting key k"), {
      code: "ERR_OPTION",
      message: "Not confirmed, nothing was done",
    });
});

test("where nobody can be asked, nothing is done, whatever comes on stdin", async () => {
  const { questions, shown } = typed("yes\n", false);
  await assert.rejects(confirm({ questions }, "Tainting key k"), {
    code: "ERR_OPTION",
    message: "Tainting key k cannot be undone: say --yes as well",
  });
  assert.equal(shown(), "");
});
