import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@redoubt/testkit";
import { Waiting } from "./waiting.ts";
import type { ProcessView } from "./watches.ts";

const READY: ProcessView = { ready: true, restarts: 0 };

test("a start that takes long says what it waits for, and again when that changes", async () => {
  const views = new Map<string, ProcessView>([
    ["ledger", READY],
    ["signer-a", { ready: false, restarts: 0, reason: "ERR_KEY_MODULE: not\nthere" }],
    ["signer-b", { ready: false, restarts: 0 }],
  ]);
  const lines: string[] = [];
  let looks = 0;
  const look = async () => {
    looks += 1;
    return views;
  };
  using waiting = new Waiting({ look, notice: (line) => lines.push(line), afterMs: 1, lookMs: 1 });
  await until(() => looks > 3);
  assert.deepEqual(lines, [
    "Waiting for signer-a (ERR_KEY_MODULE: not?there); signer-b (starting). What is ready serves already (ready: ledger)",
  ]);
  views.set("signer-b", READY);
  await until(() => lines.length === 2);
  views.set("signer-a", READY);
  await until(() => lines.length === 3);
  assert.match(lines[2] ?? "", /^Waiting for the registry/);
  waiting[Symbol.dispose]();
  const before = looks;
  await new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
  assert.ok(looks <= before + 1);
});

test("THREAT-26: whatever a process says of itself, the supervisor goes on", async () => {
  const hostile = {
    ready: false,
    restarts: 0,
    reason: { toString: null },
  };
  const lines: string[] = [];
  // What comes over the channel has any form; the type says what is expected.
  const look = async () => new Map([["publisher", JSON.parse(JSON.stringify(hostile))]]);
  using _ = new Waiting({ look, notice: (line) => lines.push(line), afterMs: 1, lookMs: 1 });
  await until(() => lines.length > 0);
  assert.match(lines[0] ?? "", /^Waiting for publisher \(its reason is unreadable\)/);
});

test("a quick start says nothing", async () => {
  const lines: string[] = [];
  {
    using _ = new Waiting({
      look: async () => new Map(),
      notice: (line) => lines.push(line),
      afterMs: 5,
    });
  }
  await new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
  assert.deepEqual(lines, []);
});
