import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { BrokerState } from "./broker-state.ts";
import { initialise, logFiles } from "./initialise.ts";

test("THREAT-30: a log that takes another's place begins anew, with its own key; floors and the time stay", () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-broker-state-"));
  try {
    const path = join(folder, "state.json");
    const [first, second] = ["redoubt.test/broker", "redoubt.test/broker-2"];
    const tree = { size: 5, root: Buffer.alloc(32, 1) };
    const remembered = { tree, seconds: 7, versions: new Map([["signer", 3]]), evaluation: 2 };
    new BrokerState(path, first).raise(remembered);
    assert.deepEqual(new BrokerState(path, first).value, remembered);
    const next = new BrokerState(path, second);
    assert.deepEqual(next.value, { ...remembered, tree: undefined });
    next.raise({ ...next.value, seconds: 8 });
    assert.deepEqual(new BrokerState(path, second).value.tree, undefined);
    assert.deepEqual(
      [logFiles(first), logFiles(second)],
      [
        { writer: "writer.key", pending: "pending.json" },
        { writer: "writer-2.key", pending: "pending-2.json" },
      ],
    );
    const [one, two] = [initialise(folder, first), initialise(folder, second)];
    assert.notEqual(one.split("+").at(-1), two.split("+").at(-1));
    assert.equal(initialise(folder, second), two);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
