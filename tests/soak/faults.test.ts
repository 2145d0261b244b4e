import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf } from "./faults.ts";

const namesOf = (seed: number, rounds: number) => faultsOf(seed, rounds).map(({ name }) => name);

test("three rounds have a fault of each kind, and 21 have every process killed and stopped", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    assert.deepEqual(
      faultsOf(seed, 3).map(({ kind }) => kind),
      ["kill", "stop", "strangers"],
    );
    const names = new Set(namesOf(seed, 21).map((name) => name.replace(/ for [\d.]+ s$/, "")));
    // Seven killed, seven stopped, six of strangers.
    assert.equal(names.size, 20);
  }
});

test("the seed decides the order", () => {
  assert.deepEqual(namesOf(7, 50), namesOf(7, 50));
  assert.notDeepEqual(namesOf(7, 50), namesOf(8, 50));
  assert.equal(namesOf(7, 50).length, 50);
});
