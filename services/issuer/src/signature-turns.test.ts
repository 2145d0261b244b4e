import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SignatureTurns } from "./signature-turns.ts";

const BURST = 20;

/** Turns in which these addresses have had too many wrong signatures. */
function spent(...addresses: readonly string[]) {
  const clock = { time: 0, monotonic: () => clock.time };
  const turns = new SignatureTurns(clock);
  for (const address of addresses) for (let i = 0; i < BURST; i++) turns.wasted(address);
  /** In the order in which they were checked. */
  const done: string[] = [];
  const ask = (address: string, name = address): void => {
    const turn = turns.turn(address);
    if (turn) void turn.then(() => done.push(name));
    else done.push(name);
  };
  return { clock, turns, done, ask };
}

describe("THREAT-39: when a signature is checked", () => {
  test("at once, until too many from there were wrong; and again when that is forgiven", () => {
    const { clock, turns } = spent();
    for (let i = 0; i < BURST; i++) {
      assert.equal(turns.turn("a"), undefined);
      turns.wasted("a");
    }
    assert.ok(turns.turn("a"));
    assert.equal(turns.turn("b"), undefined);
    clock.time += 500;
    assert.equal(turns.turn("a"), undefined);
  });

  test("one in each turn of the event loop; nobody else waits, and each address has its turn", async () => {
    const { done, ask } = spent("a", "b");
    for (let i = 0; i < 5; i++) ask("a", `a${i}`);
    ask("b");
    ask("calm");
    assert.deepEqual(done, ["calm"]);
    for (let turn = 1; turn <= 6; turn++) {
      await nextTurn();
      assert.equal(done.length, 1 + turn);
    }
    assert.ok(done.indexOf("b") <= 2);
    assert.deepEqual(
      done.filter((name) => name.startsWith("a")),
      ["a0", "a1", "a2", "a3", "a4"],
    );
  });

  test("nothing is refused: all that were asked for come, and few wait", async () => {
    const { done, ask } = spent("a", "b", "c", "d", "e", "f");
    for (let i = 0; i < 500; i++)
      for (const address of ["a", "b", "c", "d", "e", "f"]) ask(address);
    // Of what cannot wait, each was checked at once.
    await Promise.resolve();
    assert.ok(done.length >= 3000 - 256 - 1);
    for (let turn = 0; turn < 257; turn++) await nextTurn();
    assert.equal(done.length, 3000);
  });
});
