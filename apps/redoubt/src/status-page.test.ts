import assert from "node:assert/strict";
import { test } from "node:test";
import { openTerminal } from "./terminal.ts";
import { FakeSystem } from "./testing/fake-system.ts";
import { withHttp, type TestAnswer } from "./testing/http.ts";
import { status } from "./status.ts";

const ANSWERS: readonly (readonly [what: string, answer: TestAnswer, message: RegExp])[] = [
  ["another service's error", { status: 500, body: "{}" }, /no status of Redoubt \(status 500\)/],
  ["a page that is not there", { status: 404, body: "{}" }, /no status of Redoubt \(status 404\)/],
  ["a web page", { status: 200, body: "<html>" }, /no status \(ERR_JSON/],
  ["an array", { status: 200, body: "[]" }, /no status \(ERR_JSON/],
  ["a member twice", { status: 200, body: '{"a":1,"a":2}' }, /no status \(ERR_JSON/],
];

for (const [what, answer, message] of ANSWERS)
  test(`${what} on the status port is no status`, async (t) => {
    // The working directory belongs to the whole process.
    t.mock.method(process, "chdir", () => undefined);
    await withHttp(
      () => answer,
      async (base) => {
        await using system = new FakeSystem(Number(new URL(base).port) - 4);
        const terminal = openTerminal(false, { out: assert.fail, err: assert.fail });
        const questions = { input: process.stdin, output: process.stderr };
        const place = { folder: system.root, typedIn: system.root };
        const context = { ...place, json: false, terminal, questions };
        await assert.rejects(status(context), { code: "ERR_STATUS", message });
      },
    );
  });
