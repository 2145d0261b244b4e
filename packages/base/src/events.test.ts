import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseJsonObject } from "@redoubt/verify/json";
import { jsonLines } from "./events.ts";

function linesOf(fields: Readonly<Record<string, unknown>>): string {
  const lines: string[] = [];
  jsonLines(
    (line) => lines.push(line),
    { now: () => 1_764_000_000_000 },
    "signer",
  )("issued", fields);
  return lines.join("");
}

describe("event lines", () => {
  it("say when, who and what, then the fields", () => {
    assert.equal(
      linesOf({ count: 2 }),
      '{"at":"2025-11-24T16:00:00.000Z","service":"signer","event":"issued","count":2}\n',
    );
  });

  it("cannot be given another name or time by a field", () => {
    const forged = { at: "never", service: "ledger", event: "all_good", count: 1 };
    assert.equal(linesOf(forged), linesOf({ count: 1 }));
  });

  it("stay one line whatever a field holds", () => {
    const line = linesOf({
      text: 'a\n{"event":"forged"}\r\n\u2028',
      n: 1n,
      e: new Error("why\nnot"),
    });
    assert.equal(line.indexOf("\n"), line.length - 1);
    assert.deepEqual(parseJsonObject(line)["e"], "why not");
  });

  it("are written even where a field cannot be", () => {
    const ring: Record<string, unknown> = {};
    ring["self"] = ring;
    const line = linesOf({ ring });
    assert.equal(parseJsonObject(line)["event"], "issued");
    assert.match(line, /"unwritable":"[^"]*circular/);
  });

  it("bound a long text", () => {
    assert.equal(linesOf({ text: "x".repeat(8192) }).includes("…"), false);
    assert.ok(linesOf({ text: "x".repeat(1_000_000) }).length < 9000);
  });
});
