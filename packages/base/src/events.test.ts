import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseJsonObject } from "@redoubt/verify/json";
import { EventLines, FULL_LINES, type EventClasses, type EventSink } from "./events.ts";

const CLASSES: EventClasses = { issued: "operation", key_made: "security", refused: "stranger" };

class Written implements Disposable {
  readonly lines: string[] = [];
  monotonic = 0;
  readonly #events = new EventLines({
    write: (line) => this.lines.push(line),
    clock: { now: () => 1_764_000_000_000, monotonic: () => this.monotonic },
    service: "signer",
    classes: CLASSES,
  });
  readonly sink: EventSink = this.#events.sink;

  [Symbol.dispose](): void {
    this.#events[Symbol.dispose]();
  }
}

function linesOf(fields: Readonly<Record<string, unknown>>): string {
  using written = new Written();
  written.sink("issued", fields);
  return written.lines.join("");
}

describe("event lines", () => {
  it("say when, who and what, then the fields", () => {
    assert.equal(
      linesOf({ count: 2 }),
      '{"at":"2025-11-24T16:00:00.000Z","service":"signer","class":"operation","event":"issued","count":2}\n',
    );
  });

  it("cannot be given another name or time by a field", () => {
    const forged = {
      at: "never",
      service: "ledger",
      class: "security",
      event: "all_good",
      count: 1,
    };
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

describe("THREAT-26: many events of one kind", () => {
  for (const [name, kind] of Object.entries(CLASSES)) {
    const { lines, seconds } = FULL_LINES[kind];
    it(`${kind}: the first ${lines} in ${seconds} seconds are in full, the rest is a number`, () => {
      using written = new Written();
      for (let i = 0; i < lines + 7; i++) written.sink(name, { i });
      assert.equal(written.lines.length, lines);
      written.monotonic = seconds * 1000 - 1;
      written.sink(name, { i: "still" });
      assert.equal(written.lines.length, lines);
      written.monotonic += 1;
      written.sink(name, { i: "next" });
      const [left, next] = written.lines.slice(lines).map((line) => parseJsonObject(line));
      assert.deepEqual([left?.["event"], left?.["class"]], [name, kind]);
      assert.deepEqual([left?.["leftOut"], left?.["seconds"]], [8, seconds]);
      assert.equal(next?.["i"], "next");
    });
  }

  it("of one kind leave out none of another", () => {
    using written = new Written();
    for (let i = 0; i < 1_000; i++) written.sink("refused");
    written.sink("key_made");
    assert.match(written.lines.at(-1) ?? "", /"class":"security","event":"key_made"/);
  });

  it("are told when the time is over, without a further event, and at the end", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const written = new Written();
    for (let i = 0; i < 6; i++) written.sink("refused");
    assert.equal(written.lines.length, 5);
    written.monotonic = 60_000;
    t.mock.timers.tick(60_000);
    assert.match(written.lines.at(-1) ?? "", /"leftOut":1,"seconds":60/);
    for (let i = 0; i < 8; i++) written.sink("refused");
    assert.equal(written.lines.length, 11);
    written[Symbol.dispose]();
    assert.match(written.lines.at(-1) ?? "", /"leftOut":3,/);
    t.mock.timers.tick(600_000);
    assert.equal(written.lines.length, 12);
  });

  it("a name that no table has is kept with what matters most", () => {
    using written = new Written();
    for (const name of ["unknown", "constructor", "__proto__"]) {
      written.sink(name);
      assert.match(written.lines.at(-1) ?? "", /"class":"security"/);
    }
  });
});
