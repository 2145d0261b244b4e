import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf } from "./faults.ts";

const namesOf = (seed: number, rounds: number) => faultsOf(seed, rounds).map(({ name }) => name);

test("six rounds have a fault of each kind, and 42 have every process killed and stopped, and every old copy", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    assert.deepEqual(
      faultsOf(seed, 6).map(({ kind }) => kind),
      ["kill", "stop", "strangers", "full-disk", "old-copy", "hsm"],
    );
    const names = namesOf(seed, 42).map((name) => name.replace(/ for [\d.]+ s$|, made .*$/, ""));
    const counts = Object.groupBy(new Set(names), (name) => name.split(" ")[0] ?? "");
    assert.equal(counts["kill"]?.length, 7);
    assert.equal(counts["stop"]?.length, 7);
    const copies = (counts["old"] ?? []).map((name) =>
      name.replace(/-(?:consumer|enterprise)$/, ""),
    );
    assert.deepEqual(
      [...new Set(copies)].toSorted(),
      ["issuer", "ledger", "monitor", "publisher", "signer"].map((part) => `old copy of ${part}`),
    );
    // Six of strangers, the full disk, and the HSM.
    assert.equal(new Set(names).size, 7 + 7 + 6 + 1 + copies.length + 1);
  }
});

test("a kind that cannot be had leaves its turns to the others", () => {
  const missing = new Map([
    ["full-disk", "nothing can be mounted"],
    ["hsm", "not installed"],
  ] as const);
  assert.deepEqual(
    faultsOf(7, 8, missing).map(({ kind }) => kind),
    ["kill", "stop", "strangers", "old-copy", "kill", "stop", "strangers", "old-copy"],
  );
});

test("full disks last 5 to 12 s, lost HSMs 3 to 10 s", () => {
  const faults = faultsOf(7, 300);
  const within = (kind: string, least: number, most: number) => {
    const own = faults.filter((fault) => fault.kind === kind);
    assert.equal(own.length, 50);
    assert.ok(own.every(({ holdMs }) => holdMs >= least && holdMs <= most));
  };
  within("full-disk", 5000, 12_000);
  within("hsm", 3000, 10_000);
});

test("the seed decides the order", () => {
  assert.deepEqual(namesOf(7, 50), namesOf(7, 50));
  assert.notDeepEqual(namesOf(7, 50), namesOf(8, 50));
  assert.equal(namesOf(7, 50).length, 50);
});
