import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  activeOf,
  isKeyWanted,
  leadSeconds,
  newKeyWindow,
  restorable,
  standbys,
  unknownSeconds,
  type RingKey,
} from "./ring.ts";
import { KEY_STATES } from "./life-cycle.ts";
import { activeKey, POLICY, ringKey, ringOf } from "./testing/test-ring.ts";

const LEAD = POLICY.prepublishSeconds;
const END = 5000 + POLICY.expirySeconds;

type RingArguments = Parameters<typeof ringOf>;

function readyOf(...ring: RingArguments): unknown[] {
  return standbys(ringOf(...ring), 6000).map(({ key, readyAt }) => [key.kid, readyAt]);
}

function leadOf(...ring: RingArguments): number {
  return leadSeconds(ringOf(...ring));
}

function wants(...ring: RingArguments): boolean {
  return isKeyWanted(ringOf(...ring), 6000);
}

function signingUntil(signUntil: number): RingKey {
  return ringKey("short", "prepublished", 5000, { record: { signUntil } });
}

function retainedUntil(signUntil: number): RingKey {
  return ringKey("s", "prepublished", 1, { retainedBy: "operator", record: { signUntil } });
}

describe("standbys of a ring", () => {
  const active = activeKey("a", 5000);

  it("P6: are ready after the lead, and inside their window; the first that is ready leads", () => {
    const late = ringKey("late", "prepublished", 6001);
    const first = ringKey("first", "prepublished", 6000);
    const window = ringKey("window", "prepublished", 5000, { record: { signFrom: 20_000 } });
    assert.deepEqual(readyOf([active, late, window, first]), [
      ["first", 6000 + LEAD],
      ["late", 6001 + LEAD],
      ["window", 20_000],
    ]);
    assert.equal(activeOf(ringOf([late, active]))?.kid, "a");
    assert.equal(activeOf(ringOf([late])), undefined);
  });

  it("are none whose window ends before they are ready, or is over, on both sides", () => {
    assert.deepEqual(readyOf([active, signingUntil(5000 + LEAD)]), []);
    assert.deepEqual(readyOf([active, signingUntil(5001 + LEAD)]), [["short", 5000 + LEAD]]);
    const at = (now: number) => standbys(ringOf([active, signingUntil(50_000)]), now).length;
    assert.deepEqual([at(49_999), at(50_000)], [1, 0]);
  });

  it("are pre-published, in custody, of a policy, and no drill's", () => {
    for (const state of KEY_STATES) {
      const found = readyOf([activeKey("a", 5000), ringKey("s", state, 5000)]);
      assert.equal(found.length, state === "prepublished" ? 1 : 0, state);
    }
    const standby = ringKey("s", "prepublished", 5000);
    assert.deepEqual(readyOf([active, standby], { lost: ["s"] }), []);
    assert.deepEqual(standbys({ ...ringOf([active, standby]), policy: undefined }, 6000), []);
    const drill = ringKey("d", "prepublished", 5000, { record: { custody: "drill" } });
    assert.deepEqual(readyOf([active, drill]), []);
  });
});

describe("the lead of a ring", () => {
  const standby = ringKey("s", "prepublished", 5000);

  it("is none where no key was ever active: nobody holds metadata from before", () => {
    assert.equal(leadOf([standby]), 0);
    assert.equal(leadOf([activeKey("a", 5000), standby]), LEAD);
    for (const state of ["verify-only", "retired", "tainted", "revoked"] as const)
      assert.equal(leadOf([ringKey("a", state, 5000, { activatedAt: 1 }), standby]), LEAD, state);
  });

  it("P6: where custody lost the key that signed it is 15 min, and never longer than the policy's", () => {
    const gone = ringKey("a", "verify-only", 6000, { activatedAt: 5000 });
    assert.equal(leadOf([gone, standby], { lost: ["a"] }), 900);
    const policy = { ...POLICY, prepublishSeconds: 60 };
    assert.equal(leadOf([gone, standby], { lost: ["a"], policy }), 60);
    // One before it was lost as well; it signed last, and is there.
    const older = ringKey("b", "retired", 4000, { activatedAt: 4000 });
    assert.equal(leadOf([older, gone, standby], { lost: ["b"] }), LEAD);
    // Of a destroyed key nothing is left, whoever asks.
    const destroyed = ringKey("a", "destroyed", 6000, { activatedAt: 5000 });
    assert.equal(leadOf([destroyed, standby]), 900);
  });

  it("is whole while a key signs, and after a taint: there somebody decides", () => {
    const rolledBack = activeKey("b", 4000);
    const newer = ringKey("a", "verify-only", 6000, { activatedAt: 5000 });
    assert.equal(leadOf([rolledBack, newer, standby], { lost: ["a"] }), LEAD);
    for (const state of ["tainted", "revoked"] as const) {
      const ended = ringKey("a", state, 6000, { activatedAt: 5000 });
      assert.equal(leadOf([ended, standby], { lost: ["a"] }), LEAD, state);
    }
  });

  it("P6: what of it is left is the price of a key that signs early", () => {
    const ring = ringOf([ringKey("a", "verify-only", 6000, { activatedAt: 5000 }), standby]);
    const price = [5000, 5001, 4999 + LEAD, 5000 + LEAD, 2 ** 40].map((now) =>
      unknownSeconds(standby, ring, now),
    );
    assert.deepEqual(price, [LEAD, LEAD - 1, 1, 0, 0]);
    assert.equal(unknownSeconds(standby, ringOf([standby]), 5000), 0);
  });
});

describe("keys that a roll-back would let sign", () => {
  const replaced = [5000, 6000].map((at) =>
    ringKey(`k${at}`, "verify-only", at + 500, { activatedAt: at }),
  );
  const ring = ringOf([...replaced, activeKey("a", 8000)]);
  const kids = (now: number, of = ring): string[] => restorable(of, now).map(({ kid }) => kid);

  it("THREAT-02: are those within window and age limit, the youngest at the front", () => {
    assert.deepEqual(kids(4999), []);
    assert.deepEqual(kids(9000), ["k6000", "k5000"]);
    assert.deepEqual(kids(END - 1), ["k6000", "k5000"]);
    assert.deepEqual(kids(END), ["k6000"]);
  });

  it("are verify-only and in custody", () => {
    for (const state of KEY_STATES) {
      const found = kids(9000, ringOf([ringKey("k", state, 6000, { activatedAt: 5000 })]));
      assert.equal(found.length, state === "verify-only" ? 1 : 0, state);
    }
    assert.deepEqual(kids(9000, ringOf(ring.keys, { lost: ["k6000"] })), ["k5000"]);
    assert.deepEqual(kids(9000, { ...ring, policy: undefined }), []);
  });
});

describe("a new key", () => {
  const active = activeKey("a", 5000);

  it("P6: is wanted until one signs and the policy's standbys wait", () => {
    assert.ok(wants([]) && wants([active]));
    for (const state of KEY_STATES) {
      const isOne = state === "generated" || state === "prepublished";
      if (state !== "active") assert.equal(wants([active, ringKey("s", state, 1)]), !isOne, state);
    }
    const standby = ringKey("s", "prepublished", 1);
    const two = { policy: { ...POLICY, standby: 2 } };
    assert.ok(wants([active, standby], two));
    assert.ok(!wants([active, standby, ringKey("t", "generated", 1)], two));
    assert.equal(isKeyWanted({ ...ringOf([]), policy: undefined }, 6000), false);
  });

  it("P6: is wanted in place of one that is lost, or that can sign no more, even if it is retained", () => {
    const standby = ringKey("s", "prepublished", 1);
    assert.ok(wants([active, standby], { lost: ["s"] }));
    assert.ok(!wants([active, retainedUntil(6001)]));
    assert.ok(wants([active, retainedUntil(6000)]));
  });

  it("has a window in which all before it have their turn, and it signs up to the age limit", () => {
    const { signFrom, signUntil, verifyUntil } = newKeyWindow({ ...POLICY, standby: 2 }, 5000);
    assert.equal(signFrom, 5000);
    assert.equal(signUntil, 5000 + 7200 + 2 * 100_000 + 600_000);
    assert.equal(verifyUntil, signUntil + 7200);
  });
});
