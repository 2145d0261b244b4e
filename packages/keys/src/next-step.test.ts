import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { signingEnd } from "./key-age.ts";
import { checkTransition, KEY_STATES, needsCustody, type KeyState } from "./life-cycle.ts";
import { dueStep, nextStep, type NextStep } from "./next-step.ts";
import { activeOf, isKeyWanted, newKeyWindow, type Ring, type RingKey } from "./ring.ts";
import { activeKey, POLICY, ringKey, ringOf } from "./testing/test-ring.ts";

const LEAD = POLICY.prepublishSeconds;
const LATE = 2 ** 40;
const RETAINED = { retainedBy: "ring" } as const;
const DRILL = { record: { custody: "drill" } } as const;

/** One row: what is foretold of a key, up to the second before it is due and in the second that it is. */
interface Row {
  readonly what: string;
  readonly key: RingKey;
  readonly others?: readonly RingKey[];
  readonly lost?: readonly string[];
  readonly next: NextStep;
}

const active = activeKey("a", 5000);
const spent = ringKey("old", "verify-only", 6000, { activatedAt: 5000 });
const short = { record: { signUntil: 50_000, verifyUntil: 54_000 } } as const;

const ROWS: readonly Row[] = [
  {
    what: "the first key of a ring signs as soon as it is published",
    key: ringKey("k", "prepublished", 6000),
    next: { state: "active", at: 6000 },
  },
  {
    what: "and not before its window",
    key: ringKey("k", "prepublished", 1000),
    next: { state: "active", at: 5000 },
  },
  {
    what: "P6: any other after its lead",
    key: ringKey("k", "prepublished", 6000),
    others: [spent],
    next: { state: "active", at: 6000 + LEAD },
  },
  {
    what: "P6: after 15 min where custody lost the key that signed",
    key: ringKey("k", "prepublished", 6000),
    others: [spent],
    lost: ["old"],
    next: { state: "active", at: 6900 },
  },
  {
    what: "a standby signs when the key before it had its time",
    key: ringKey("k", "prepublished", 6000),
    others: [active],
    next: { state: "active", at: 105_000 },
  },
  {
    what: "or when it is ready, where that is later",
    key: ringKey("k", "prepublished", 101_000),
    others: [active],
    next: { state: "active", at: 101_000 + LEAD },
  },
  {
    what: "a standby whose window ends before its turn is retired with it",
    key: ringKey("k", "prepublished", 6000, short),
    others: [active],
    next: { state: "retired", at: 50_000 },
  },
  {
    what: "so is the second of two, whose turn nobody can foretell",
    key: ringKey("k", "prepublished", 6001),
    others: [active, ringKey("s", "prepublished", 6000)],
    next: { state: "retired", at: 1_005_000 },
  },
  {
    what: "a new key that was never published is destroyed",
    key: ringKey("k", "generated", 5000, short),
    next: { state: "destroyed", at: 50_000 },
  },
  {
    what: "alone a key signs to its age limit",
    key: active,
    next: { state: "verify-only", at: 5000 + POLICY.expirySeconds },
  },
  {
    what: "and no longer than its window",
    key: activeKey("k", 5000, short),
    next: { state: "verify-only", at: 50_000 },
  },
  {
    what: "P6: with a ready standby it signs for its time",
    key: active,
    others: [ringKey("s", "prepublished", 6000)],
    next: { state: "verify-only", at: 105_000 },
  },
  {
    what: "P6: with a late one until that is known",
    key: active,
    others: [ringKey("s", "prepublished", 101_000)],
    next: { state: "verify-only", at: 101_000 + LEAD },
  },
  {
    what: "P6: a standby that is gone by then, or that custody lost, does not end it",
    key: active,
    others: [ringKey("s", "prepublished", 6000, short), ringKey("t", "prepublished", 6000)],
    lost: ["t"],
    next: { state: "verify-only", at: 5000 + POLICY.expirySeconds },
  },
  {
    what: "P6: one that comes in time behind a standby that is gone by then does",
    key: active,
    others: [ringKey("s", "prepublished", 6000, short), ringKey("t", "prepublished", 101_000)],
    next: { state: "verify-only", at: 101_000 + LEAD },
  },
  {
    what: "THREAT-02: after a roll-back it is no younger",
    key: activeKey("k", 104_000, { activatedAt: 5000 }),
    next: { state: "verify-only", at: 5000 + POLICY.expirySeconds },
  },
  {
    what: "it stays published for its longest token",
    key: ringKey("k", "verify-only", 6000, { activatedAt: 5000 }),
    next: { state: "retired", at: 6000 + POLICY.verifyOnlySeconds },
  },
  {
    what: "and no longer than its record says",
    key: ringKey("k", "verify-only", 50_000, { activatedAt: 5000, ...short }),
    next: { state: "retired", at: 54_000 },
  },
  {
    what: "so without its private half",
    key: ringKey("k", "verify-only", 6000, { activatedAt: 5000 }),
    lost: ["k"],
    next: { state: "retired", at: 6000 + POLICY.verifyOnlySeconds },
  },
  {
    what: "out of use, it is destroyed when nothing verifies under it",
    key: ringKey("k", "retired", 6000, short),
    next: { state: "destroyed", at: 54_000 },
  },
  {
    what: "a drill key leaves with its record",
    key: ringKey("k", "prepublished", 5000, { record: { ...short.record, ...DRILL.record } }),
    next: { state: "retired", at: 54_000 },
  },
  {
    what: "so does one that was never published",
    key: ringKey("k", "generated", 5000, { record: { ...short.record, ...DRILL.record } }),
    next: { state: "destroyed", at: 54_000 },
  },
];

function ringOfRow({ key, others = [], lost = [] }: Row): Ring {
  return ringOf([key, ...others], { lost });
}

function withRetained({ key, ...row }: Row): Row {
  return { ...row, key: { ...key, ...RETAINED } };
}

describe("the next step of a key", () => {
  for (const row of ROWS)
    it(`${row.key.state}: ${row.what}`, () => {
      const { key, next } = row;
      const ring = ringOfRow(row);
      for (const now of [next.at, next.at + 1]) assert.deepEqual(nextStep(key, ring, now), next);
      // What a key waits for is foretold from the start; a new one waits for nothing, it is published.
      const before = nextStep(key, ring, next.at - 1);
      const isNew = key.state === "generated" && key.record.custody !== "drill";
      if (isNew) assert.deepEqual(before, { state: "prepublished", at: key.stateAt });
      else assert.deepEqual(before, next);
      checkTransition(key.state, next.state);
    });

  it("of one that was just made is to be published, whatever clock it was made by", () => {
    const key = ringKey("k", "generated", 6000);
    for (const now of [0, 6000, 1_004_999]) {
      const at = Math.min(now, 6000);
      assert.deepEqual(nextStep(key, ringOf([key]), now), { state: "prepublished", at });
    }
  });

  it("retires a key whose window is over, instead of letting it sign, on both sides of it", () => {
    const key = ringKey("k", "prepublished", 6000, short);
    const ring = ringOf([key]);
    assert.deepEqual(nextStep(key, ring, 49_999), { state: "active", at: 6000 });
    assert.deepEqual(nextStep(key, ring, 50_000), { state: "retired", at: 50_000 });
  });

  it("THREAT-11: never withdraws a key that is retained; everything else happens to it", () => {
    for (const row of ROWS) {
      const { key, next } = row;
      const kept = withRetained(row);
      const isFree = next.state !== "retired";
      for (const now of [next.at, LATE].slice(0, isFree ? 1 : 2))
        assert.deepEqual(
          nextStep(kept.key, ringOfRow(kept), now),
          isFree ? next : undefined,
          `${key.state}: ${row.what}`,
        );
    }
    const tainted = ringKey("k", "tainted", 6000, RETAINED);
    assert.equal(nextStep(tainted, ringOf([tainted]), 6000)?.state, "revoked");
  });

  it("THREAT-11: not even without its private half does a retained key leave, and it never comes to sign", () => {
    const key = ringKey("k", "prepublished", 6000, RETAINED);
    for (const now of [6000, 6000 + LEAD, LATE])
      assert.equal(nextStep(key, ringOf([key], { lost: ["k"] }), now), undefined);
  });

  it("of one that custody lost ends it at once, whatever the clock says", () => {
    const ends: Partial<Record<KeyState, KeyState>> = {
      generated: "destroyed",
      prepublished: "retired",
      active: "verify-only",
    };
    for (const state of KEY_STATES.filter(needsCustody))
      for (const now of [0, 6000, 7000]) {
        const key = ringKey("k", state, 6000, state === "active" ? { activatedAt: 6000 } : {});
        const step = nextStep(key, ringOf([key], { lost: ["k"] }), now);
        assert.deepEqual(step, { state: ends[state], at: Math.min(now, 6000) });
      }
  });

  it("revokes what is tainted at once, a drill key too, and leaves what ended alone", () => {
    for (const fields of [{}, DRILL])
      for (const now of [0, 6000, LATE]) {
        const key = ringKey("k", "tainted", 6000, fields);
        assert.deepEqual(nextStep(key, ringOf([key]), now), {
          state: "revoked",
          at: Math.min(now, 6000),
        });
        for (const state of ["destroyed", "revoked"] as const) {
          const ended = ringKey("k", state, 6000, fields);
          assert.equal(nextStep(ended, ringOf([ended]), now), undefined);
        }
      }
  });

  it("never lets a drill key sign, and never rolls back by itself", () => {
    const drill = ringKey("k", "prepublished", 5000, DRILL);
    const kept = ringKey("k", "verify-only", 5000, { activatedAt: 5000, ...RETAINED });
    for (const now of [5000, 5000 + LEAD, LATE]) {
      assert.equal(nextStep(drill, ringOf([drill]), now)?.state, "retired");
      assert.equal(nextStep(kept, ringOf([kept]), now), undefined);
    }
  });

  it("without a policy is only what ends it for good", () => {
    const found = KEY_STATES.map((state) => {
      const key = ringKey("k", state, 6000);
      return nextStep(key, { ...ringOf([key]), policy: undefined }, 7000)?.state;
    });
    const ends = found.flatMap((state, i) => (state ? [[KEY_STATES[i], state]] : []));
    assert.deepEqual(ends, [
      ["retired", "destroyed"],
      ["tainted", "revoked"],
    ]);
  });
});

describe("the step that is due", () => {
  it("is none a second too early, and ends a key's signing before another signs", () => {
    const standby = ringKey("s", "prepublished", 6000);
    const keys = [standby, active];
    assert.equal(dueStep(ringOf(keys), 104_999), undefined);
    const step = dueStep(ringOf(keys), 105_000);
    assert.deepEqual([step?.key.kid, step?.state], ["a", "verify-only"]);
    const ended = { ...active, state: "verify-only", stateAt: 105_000 } as const;
    const then = dueStep(ringOf([standby, ended]), 105_000);
    assert.deepEqual([then?.key.kid, then?.state], ["s", "active"]);
  });

  it("P6: is what lets a ring sign before anything that only tidies up", () => {
    const keys = [
      ringKey("retired", "retired", 1000, short),
      ringKey("tainted", "tainted", 60_000, { activatedAt: 5000 }),
      ringKey("new", "generated", 60_000),
      ringKey("standby", "prepublished", 5000),
    ];
    const order: string[] = [];
    for (let step = dueStep(ringOf(keys), 60_000); step; step = dueStep(ringOf(keys), 60_000)) {
      order.push(`${step.key.kid} ${step.state}`);
      const i = keys.indexOf(step.key);
      keys[i] = { ...step.key, state: step.state, stateAt: 60_000 };
      if (step.state === "active") keys[i] = { ...keys[i], activatedAt: 60_000 };
    }
    assert.deepEqual(order, [
      "tainted revoked",
      "standby active",
      "new prepublished",
      "retired destroyed",
    ]);
  });
});

/** A ring as a signer runs it: steps until none is due, then the keys that are wanted, then their steps. */
class RunningRing {
  keys: RingKey[] = [];
  now = 10_000;
  activations = 0;
  endedByAge = 0;

  get ring(): Ring {
    return ringOf(this.keys);
  }

  tick(): void {
    this.#advance();
    for (; isKeyWanted(this.ring, this.now);) {
      const record = newKeyWindow(POLICY, this.now);
      this.keys.push(ringKey(`k${this.keys.length}`, "generated", this.now, { record }));
    }
    this.#advance();
  }

  #advance(): void {
    for (let step = dueStep(this.ring, this.now); step; step = dueStep(this.ring, this.now)) {
      const { key, state } = step;
      checkTransition(key.state, state);
      assert.ok(step.at <= this.now);
      if (state === "active") this.#checkActivation(key);
      if (state === "retired") assert.equal(key.retainedBy, undefined, "THREAT-11");
      this.set(key, state);
      if (state === "verify-only") this.#checkEnd(key);
    }
  }

  #checkEnd(key: RingKey): void {
    this.endedByAge += 1;
    if (this.now < signingEnd(key, POLICY))
      assert.equal(dueStep(this.ring, this.now)?.state, "active", "P6: none can follow");
  }

  #checkActivation(key: RingKey): void {
    this.activations += 1;
    const { signFrom, signUntil } = key.record;
    assert.equal(activeOf(this.ring), undefined, "two keys sign");
    assert.ok(this.now >= signFrom && this.now < signUntil, "outside its window");
    const isFirst = this.keys.every(({ activatedAt }) => activatedAt === undefined);
    assert.ok(isFirst || this.now >= key.stateAt + LEAD, "P6: before everybody can know it");
  }

  set(key: RingKey, state: KeyState): void {
    const activated = state === "active" ? { activatedAt: this.now } : {};
    const stateAt = Math.max(this.now, key.stateAt);
    const next = { ...activated, ...key, state, stateAt };
    this.keys = this.keys.map((other) => (other.kid === key.kid ? next : other));
  }

  retain(kid: string): void {
    this.keys = this.keys.map(({ retainedBy, ...key }) => {
      const isKept = (key.kid === kid) !== (retainedBy !== undefined);
      const isPublished = ["prepublished", "active", "verify-only"].includes(key.state);
      return isKept && isPublished ? { ...key, ...RETAINED } : key;
    });
  }
}

describe("a ring that is stepped through time", () => {
  // A signer may stand still for days; past the age limit nothing signs, by design.
  const pause = fc.oneof(
    fc.integer({ min: 1, max: 20_000 }),
    fc.integer({ min: 1, max: POLICY.expirySeconds - 1 }),
  );
  const deed = fc.record({ pause, retain: fc.option(fc.nat({ max: 9 }), { freq: 3 }) });

  it("P6, THREAT-11: never is without a key that signs, has two, or signs before the lead is over", () => {
    let [activations, endedByAge] = [0, 0];
    fc.assert(
      fc.property(fc.array(deed, { minLength: 1, maxLength: 60, size: "max" }), (deeds) => {
        const running = new RunningRing();
        running.tick();
        for (const one of deeds) {
          running.now += one.pause;
          if (one.retain !== null) running.retain(`k${running.keys.length - 1 - one.retain}`);
          running.tick();
          const signing = running.keys.filter(({ state }) => state === "active");
          assert.equal(signing.length, 1);
          for (const { activatedAt = 0, record } of signing)
            assert.ok(
              running.now < Math.min(record.signUntil, activatedAt + POLICY.expirySeconds),
              "THREAT-02: too old to sign",
            );
        }
        activations += running.activations;
        endedByAge += running.endedByAge;
      }),
      { numRuns: 200 },
    );
    assert.ok(activations > 1000 && endedByAge > 1000, `${activations} ${endedByAge}`);
  });

  it("P6: with taints and clocks that go back never has two, and none signs before the lead is over", () => {
    const storm = fc.record({
      pause: fc.integer({ min: -20_000, max: 90_000 }),
      taint: fc.option(fc.nat({ max: 3 }), { freq: 4 }),
    });
    let activations = 0;
    fc.assert(
      fc.property(fc.array(storm, { minLength: 1, maxLength: 60, size: "max" }), (deeds) => {
        const running = new RunningRing();
        running.tick();
        for (const one of deeds) {
          running.now = Math.max(0, running.now + one.pause);
          const bad = one.taint !== null && running.keys.at(-1 - one.taint);
          if (bad && bad.state !== "revoked") running.set(bad, "tainted");
          running.tick();
          assert.ok(running.keys.filter(({ state }) => state === "active").length <= 1);
          assert.ok(running.keys.every(({ state }) => state !== "tainted"));
        }
        activations += running.activations;
      }),
      { numRuns: 200 },
    );
    assert.ok(activations > 500, `${activations}`);
  });

  it("takes at the time that is told exactly that step, and not a second earlier", () => {
    const times = fc.record({
      signs: fc.integer({ min: 5000, max: 400_000 }),
      standbys: fc.array(fc.integer({ min: 5000, max: 900_000 }), { maxLength: 3 }),
      signUntil: fc.integer({ min: 450_000, max: 900_000 }),
    });
    fc.assert(
      fc.property(times, ({ signs, signUntil, ...other }) => {
        const key = activeKey("a", signs, { record: { signUntil } });
        const keys = other.standbys.map((at, i) => ringKey(`s${i}`, "prepublished", at));
        const ring = ringOf([key, ...keys]);
        const told = nextStep(key, ring, 0);
        assert.ok(told);
        assert.deepEqual(nextStep(key, ring, told.at - 1), told);
        const { state, at, key: taken } = dueStep(ring, told.at) ?? {};
        assert.deepEqual([taken?.kid, state, at], ["a", told.state, told.at]);
        assert.equal(dueStep(ring, told.at - 1), undefined);
      }),
      { numRuns: 200 },
    );
  });
});
