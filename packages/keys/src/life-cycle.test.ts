import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  checkTransition,
  decideNextState,
  isPublished,
  isReadyToSign,
  KEY_STATES,
  type KeyState,
  type LifeCycleInput,
} from "./life-cycle.ts";

/** ARCHITECTURE, "A key", as a table: a row may become the columns that have a mark. */
const TABLE: Readonly<Record<KeyState, string>> = {
  //               gen pre act ver ret des tai rev
  generated: "      .   x   .   .   .   x   x   .",
  prepublished: "   .   .   x   .   x   .   x   .",
  active: "         .   .   .   x   .   .   x   .",
  "verify-only": "  .   .   x   .   x   .   x   .",
  retired: "        .   .   .   .   .   x   x   .",
  destroyed: "      .   .   .   .   .   .   x   .",
  tainted: "        .   .   .   .   .   .   .   x",
  revoked: "        .   .   .   .   .   .   .   .",
};

const key: LifeCycleInput = {
  state: "generated",
  stateAt: 1000,
  signFrom: 2000,
  signUntil: 5000,
  verifyUntil: 9000,
  isFirstOfRing: false,
  ringHasActive: false,
  successorReady: false,
};
const policy = { prepublishSeconds: 7200, activeSeconds: 3000, verifyOnlySeconds: 600 };

describe("key states", () => {
  for (const from of KEY_STATES)
    it(`from ${from} lead only where the life cycle says`, () => {
      const marks = TABLE[from].trim().split(/\s+/);
      assert.equal(marks.length, KEY_STATES.length);
      for (const [i, to] of KEY_STATES.entries()) {
        if (marks[i] === "x") checkTransition(from, to);
        else assert.throws(() => checkTransition(from, to), { code: "ERR_KEY_TRANSITION" }, to);
      }
    });

  it("are published while relying parties need the key", () => {
    assert.deepEqual(KEY_STATES.filter(isPublished), ["prepublished", "active", "verify-only"]);
  });
});

describe("decideNextState", () => {
  interface Case {
    readonly what: string;
    readonly input: Partial<LifeCycleInput>;
    readonly before: KeyState | undefined;
    readonly at: number;
    readonly after: KeyState | undefined;
  }
  const cases: readonly Case[] = [
    {
      what: "publishes a new key until it could not sign any more",
      input: {},
      before: "prepublished",
      at: 5000,
      after: "destroyed",
    },
    {
      what: "activates after it was published long enough",
      input: { state: "prepublished", signUntil: 20_000 },
      before: undefined,
      at: 8200,
      after: "active",
    },
    {
      what: "activates not before its signing window",
      input: { state: "prepublished", isFirstOfRing: true },
      before: undefined,
      at: 2000,
      after: "active",
    },
    {
      what: "retires a key that never came to sign",
      input: { state: "prepublished", isFirstOfRing: true },
      before: "active",
      at: 5000,
      after: "retired",
    },
    {
      what: "stops signing when it is old and another can follow",
      input: { state: "active", successorReady: true },
      before: undefined,
      at: 4000,
      after: "verify-only",
    },
    {
      what: "stops signing when the window ends",
      input: { state: "active" },
      before: undefined,
      at: 5000,
      after: "verify-only",
    },
    {
      what: "retires after the longest token",
      input: { state: "verify-only" },
      before: undefined,
      at: 1600,
      after: "retired",
    },
    {
      what: "retires when nothing verifies any more",
      input: { state: "verify-only", stateAt: 8900 },
      before: undefined,
      at: 9000,
      after: "retired",
    },
  ];
  for (const { what, input, before, at, after } of cases)
    it(what, () => {
      const state = { ...key, ...input };
      assert.equal(decideNextState(state, policy, at - 1), before);
      assert.equal(decideNextState(state, policy, at), after);
    });

  it("P6: lets an old key sign on while none can follow", () => {
    const alone = { ...key, state: "active" } as const;
    for (const now of [4000, 4999]) assert.equal(decideNextState(alone, policy, now), undefined);
  });

  it("never activates beside an active key, however long it waits", () => {
    const waiting = { ...key, state: "prepublished", ringHasActive: true } as const;
    for (const now of [0, 2000, 4999])
      assert.equal(decideNextState(waiting, policy, now), undefined);
    assert.equal(decideNextState(waiting, policy, 5000), "retired");
  });

  it("knows when a waiting key may take over: published long enough, inside its window", () => {
    const waiting = { ...key, state: "prepublished", signUntil: 20_000 } as const;
    const ready = [8199, 8200, 19_999, 20_000].map((now) => isReadyToSign(waiting, policy, now));
    assert.deepEqual(ready, [false, true, true, false]);
    const later = { ...waiting, signFrom: 9000 };
    assert.deepEqual(
      [8999, 9000].map((now) => isReadyToSign(later, policy, now)),
      [false, true],
    );
    for (const state of KEY_STATES)
      assert.equal(isReadyToSign({ ...waiting, state }, policy, 9000), state === "prepublished");
  });

  it("THREAT-11: withdraws no key that is retained, however old; everything else happens to it", () => {
    const late = 2 ** 40;
    const spent = { ...key, state: "verify-only", isRetained: true } as const;
    for (const now of [1600, 9000, late])
      assert.equal(decideNextState(spent, policy, now), undefined);
    assert.equal(decideNextState({ ...spent, isRetained: false }, policy, 1600), "retired");
    const waiting = {
      ...key,
      state: "prepublished",
      isRetained: true,
      ringHasActive: true,
    } as const;
    for (const now of [5000, late]) assert.equal(decideNextState(waiting, policy, now), undefined);
    const first = { ...waiting, ringHasActive: false, isFirstOfRing: true };
    assert.equal(decideNextState(first, policy, 2000), "active");
    assert.equal(decideNextState({ ...spent, state: "active" }, policy, 5000), "verify-only");
    assert.equal(decideNextState({ ...spent, state: "tainted" }, policy, 0), "revoked");
  });

  it("P6: where custody lost the key that signed, a standby waits 15 min, and never longer than its lead", () => {
    const waiting = { ...key, state: "prepublished", stateAt: 2000, ringHasActive: false } as const;
    const lost = { ...waiting, isSignerLost: true };
    const long = { ...policy, prepublishSeconds: 1500 };
    assert.equal(decideNextState(waiting, long, 3499), undefined);
    assert.equal(decideNextState(lost, long, 2899), undefined);
    assert.equal(decideNextState(lost, long, 2900), "active");
    assert.equal(decideNextState({ ...lost, ringHasActive: true }, long, 3500), undefined);
    const short = { ...policy, prepublishSeconds: 60 };
    assert.equal(decideNextState(lost, short, 2059), undefined);
    assert.equal(decideNextState(lost, short, 2060), "active");
    assert.equal(isReadyToSign(lost, long, 2900), false);
  });

  it("never rolls back by itself", () => {
    const spent = { ...key, state: "verify-only", verifyUntil: 2 ** 40, stateAt: 4000 } as const;
    for (const now of [4000, 4001, 4599])
      assert.equal(decideNextState(spent, policy, now), undefined);
  });

  it("revokes what is tainted, at once, and leaves ended keys alone", () => {
    assert.equal(decideNextState({ ...key, state: "tainted" }, policy, 0), "revoked");
    for (const state of ["retired", "destroyed", "revoked"] as const)
      for (const now of [0, 5000, 2 ** 40])
        assert.equal(decideNextState({ ...key, state }, policy, now), undefined);
  });

  it("THREAT-11: over any clock takes allowed steps only, and never has two active keys", () => {
    const start = fc.nat({ max: 20_000 });
    const length = fc.integer({ min: 1, max: 40_000 });
    const window = fc.tuple(start, length, length).map(([signFrom, signs, verifies]) => {
      return { signFrom, signUntil: signFrom + signs, verifyUntil: signFrom + signs + verifies };
    });
    // Forward mostly, but a clock may be set back.
    const step = fc.integer({ min: -2000, max: 4000 });
    let activations = 0;
    let rotations = 0;
    const keyWindows = fc.array(window, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(keyWindows, fc.array(step, { maxLength: 60 }), (windows, steps) => {
        const keys = windows.map(newKey);
        let everActive = false;
        let now = 0;
        for (const by of steps) {
          now += by;
          for (const one of keys) {
            const ringHasActive = keys.some(({ state }) => state === "active");
            const others = keys.filter((other) => other !== one);
            const successorReady = others.some((other) => isReadyToSign(other, policy, now));
            const isFirstOfRing = !everActive;
            const ring = { ringHasActive, successorReady, isFirstOfRing };
            const next = decideNextState({ ...one, ...ring }, policy, now);
            if (next === undefined) continue;
            checkTransition(one.state, next);
            if (one.state === "active" && now < one.signUntil) {
              const follows = { ringHasActive: false, successorReady: false, isFirstOfRing: false };
              const nextOfOthers = others.map((o) =>
                decideNextState({ ...o, ...follows }, policy, now),
              );
              assert.ok(nextOfOthers.includes("active"), "P6: a key ended and none could follow");
              rotations += 1;
            }
            if (next === "active") {
              assert.ok(!ringHasActive && now >= one.signFrom && now < one.signUntil);
              assert.ok(!everActive || now >= one.stateAt + policy.prepublishSeconds);
              everActive = true;
              activations += 1;
            }
            one.state = next;
            one.stateAt = now;
          }
        }
        assert.ok(keys.filter(({ state }) => state === "active").length <= 1);
      }),
      { numRuns: 300 },
    );
    assert.ok(activations > 20 && rotations > 5, `${activations} ${rotations}`);
  });
});

type Times = Pick<LifeCycleInput, "signFrom" | "signUntil" | "verifyUntil">;

function newKey(times: Times): Times & { state: KeyState; stateAt: number } {
  return { ...times, state: "generated", stateAt: 0 };
}
