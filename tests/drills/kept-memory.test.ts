import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";

type View = readonly [bytes: number, held: number];

/** What modules keep from their start on, and what is under way at the moment. */
const MOST_VIEWS = 64;
const MOST_MORE = 12;

test("P12: no process keeps a small view of a large buffer, however many tokens it has seen", async () => {
  const child = fork(join(import.meta.dirname, "kept-main.ts"), { stdio: "inherit" });
  try {
    await once(child, "message");
    const after = async (tokens: number): Promise<readonly View[]> => {
      child.send(tokens);
      const [views] = await once(child, "message");
      return views;
    };
    const before = await after(100);
    // The check sees what it looks for: modules have constants that were cut out of a slab.
    assert.ok(before.length > 0);
    assert.ok(before.length <= MOST_VIEWS, `${before.length} views: ${before.join("; ")}`);
    const more = await after(400);
    assert.ok(more.length <= before.length + MOST_MORE, `${more.length}: ${more.join("; ")}`);
  } finally {
    child.disconnect();
    await once(child, "exit");
  }
});
