import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { EventLines, systemClock } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { LogFile, LogFiles } from "./log-files.ts";

const root = mkdtempSync(join(tmpdir(), "redoubt-logs-"));
after(() => rmSync(root, { recursive: true, force: true }));

const linesOf = (path: string): string[] => readFileSync(path, "utf8").split("\n").slice(0, -1);

const numbered = (i: number): string => `${String(i).padStart(4, "0")} ${"x".repeat(94)}`;

describe("the event lines of a process on disk", () => {
  it("THREAT-26: a flood by strangers is a few lines in a file of its own", () => {
    const files = new LogFiles(root, "issuer-test");
    using lines = new EventLines({
      write: (line) => files.append(line.trimEnd()),
      clock: systemClock,
      service: "issuer-test",
      classes: { token_refused: "stranger", client_put: "security", ready: "operation" },
    });
    lines.sink("client_put", { client: "first" });
    const field = '"class":"security",';
    for (let i = 0; i < 100_000; i++)
      lines.sink("token_refused", { class: "security", code: field });
    lines.sink("ready");
    lines.sink("client_put", { client: "last" });
    files.append("a crash, in plain text");
    const security = linesOf(join(root, "issuer-test.security.ndjson"));
    assert.deepEqual(
      security.map((line) => parseJsonObject(line)["client"]),
      ["first", "last"],
    );
    const rest = linesOf(join(root, "issuer-test.ndjson"));
    assert.equal(rest.length, 5 + 1 + 1);
    assert.equal(rest.at(-1), "a crash, in plain text");
    for (const name of readdirSync(root))
      assert.equal(statSync(join(root, name)).mode & 0o777, 0o600, name);
  });

  it("the newest files are kept, and the next one says how many lines went", () => {
    const path = join(root, "small.ndjson");
    const file = new LogFile(path, { fileBytes: 1000, files: 3 });
    for (let i = 0; i < 100; i++) file.append(numbered(i));
    assert.deepEqual(
      readdirSync(root)
        .filter((name) => name.startsWith("small"))
        .toSorted((a, b) => a.localeCompare(b)),
      ["small.ndjson", "small.ndjson.1", "small.ndjson.2"],
    );
    const kept = [".2", ".1", ""].flatMap((suffix) => linesOf(path + suffix));
    const own = kept.filter((one) => one.startsWith("{")).map((one) => parseJsonObject(one));
    const numbers = kept
      .filter((one) => !one.startsWith("{"))
      .map((one) => Number(one.slice(0, 4)));
    const first = numbers[0] ?? assert.fail("nothing is kept");
    assert.deepEqual(
      numbers,
      Array.from({ length: 100 - first }, (_, i) => first + i),
    );
    assert.ok(own.length > 0);
    for (const { event, service, class: kind, count } of own) {
      assert.deepEqual([event, service, kind], ["lines_dropped", "supervisor", "security"]);
      assert.ok(typeof count === "number" && count >= 9 && count <= 12);
    }
  });

  it("THREAT-05: what could not be written is counted, and said when it can be", () => {
    const folder = join(root, "blocked");
    const file = new LogFile(join(folder, "x.ndjson"), { fileBytes: 1000, files: 2 });
    for (let i = 0; i < 7; i++) file.append("lost");
    mkdirSync(folder, { mode: 0o700 });
    chmodSync(folder, 0o700);
    file.append("kept");
    const [lost = "", kept] = linesOf(join(folder, "x.ndjson"));
    const { event, count } = parseJsonObject(lost);
    assert.deepEqual([event, count, kept], ["lines_lost", 7, "kept"]);
    assert.equal(file.lost, 7);
  });
});
