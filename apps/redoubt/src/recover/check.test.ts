import assert from "node:assert/strict";
import { test } from "node:test";
import { REGISTRY_LOG } from "../layout.ts";
import { TestRegistry } from "../testing/registry.ts";
import { judge, ownerOf, type Remedy } from "./check.ts";
import type { LogState } from "./log-state.ts";

const LOG = "redoubt.local/issuance/enterprise-1/2026q4";
const root = Buffer.alloc(32);
const GOOD: LogState = {
  log: LOG,
  ledgerSize: 9,
  ledgerProblem: undefined,
  signerProblem: undefined,
  witness: { size: 9, root },
  witnessHalt: undefined,
  newest: { note: "", size: 9, root, from: "the ledger" },
};

const CASES: readonly (readonly [string, Partial<LogState>, Remedy, RegExp, RegExp])[] = [
  ["nothing", {}, "none", /^9 entries, 9 of them cosigned$/, /^$/],
  [
    "a witness that forgot",
    { witnessHalt: "witness-rollback", witness: { size: 3, root } },
    "witness",
    /holds 3 entries and has met its own cosignature of 9/,
    /monitor\.db.*redoubt recover witness/,
  ],
  [
    "both: the witness comes first",
    { witnessHalt: "witness-rollback", ledgerProblem: "halted", ledgerSize: undefined },
    "witness",
    /old copy/,
    /recover witness/,
  ],
  [
    "a ledger that halted it",
    { ledgerProblem: "Log is halted: bit", ledgerSize: undefined },
    "log",
    /ledger has halted it: Log is halted: bit/,
    /9 entries or more.*recover log --realm enterprise/,
  ],
  ["a short ledger", { ledgerSize: 5 }, "log", /holds 5 entries, .* cosigned 9/, /recover log/],
  ["a signer", { signerProblem: "ERR_LOG_SHORT: 5, it had 9" }, "log", /had 9/, /recover log/],
  ["a fork", { witnessHalt: "fork" }, "log", /witness has halted it: fork/, /recover log/],
  ["no witness", { witness: undefined, newest: undefined }, "wait", /does not answer/, /status/],
];

for (const [what, change, remedy, says, advice] of CASES)
  test(`${what}: ${remedy}`, () => {
    const found = judge({ ...GOOD, ...change }, { realm: "enterprise" });
    assert.equal(found.remedy, remedy);
    assert.equal(found.ok, remedy === "none");
    assert.match(found.what, says);
    assert.match(found.advice, advice);
  });

test("the registry is never closed: it comes from a copy", () => {
  const found = judge({ ...GOOD, ledgerSize: 5 }, "registry");
  assert.equal(found.remedy, "registry");
  assert.match(found.advice, /9 entries or more.*redoubt recover registry/);
});

test("a broker's log is closed like a realm's: no other is given up for it", () => {
  const wrong: readonly Partial<LogState>[] = [
    { ledgerSize: 5 },
    { ledgerProblem: "Log is halted: bit", ledgerSize: undefined },
    { witnessHalt: "fork" },
    { signerProblem: "ERR_LOG_SHORT: 5, it had 9" },
  ];
  for (const change of wrong) {
    const found = judge({ ...GOOD, ...change }, "broker");
    assert.deepEqual([found.ok, found.remedy], [false, "log"]);
    assert.match(found.advice, /redoubt recover log --broker$/);
  }
  const forgotten = judge({ ...GOOD, witnessHalt: "witness-rollback" }, "broker");
  assert.equal(forgotten.remedy, "witness");
  assert.equal(judge(GOOD, "broker").ok, true);
});

test("whose log it is: the registry says", () => {
  const fixture = new TestRegistry();
  fixture.broker("redoubt.local/broker");
  const { registry } = fixture;
  assert.equal(ownerOf(registry, "redoubt.local/broker"), "broker");
  assert.equal(ownerOf(registry, REGISTRY_LOG), "registry");
  assert.deepEqual(judge({ ...GOOD, ledgerSize: 5 }, ownerOf(registry, LOG)).remedy, "log");
});

test("what the ledger says is shown without its control characters", () => {
  const { what } = judge({ ...GOOD, ledgerProblem: "a\u001B[2Jb" }, { realm: "enterprise" });
  assert.ok(!what.includes("\u001B"));
});
