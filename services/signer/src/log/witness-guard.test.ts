import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { createVerifierKey, ed25519Cosigner, SIGNATURE_TYPE } from "@redoubt/tlog";
import { FakeLog } from "@redoubt/testkit";
import { TestClock } from "@redoubt/testkit";
import { WitnessGuard } from "./witness-guard.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const signer = ed25519Cosigner("witness.test", privateKey);
const witness = createVerifierKey({
  name: "witness.test",
  type: SIGNATURE_TYPE.cosignature,
  publicKey,
});

function open(log = new FakeLog("redoubt.test/log"), clock = new TestClock()) {
  if (log.size === 0) grow(log);
  const told: (readonly [number, number])[] = [];
  const maxUnwitnessedSeconds = 900;
  const guard = new WitnessGuard({
    origin: log.origin,
    logKey: log.key,
    witness,
    maxUnwitnessedSeconds,
    clock,
    onDatedAhead: (cosigned, now) => told.push([cosigned, now]),
  });
  /** The witness vouches for the log, by its own clock. */
  const cosign = (ageSeconds = 0): void => {
    guard.accept(guard.open(log.cosign(signer, clock.seconds - ageSeconds)));
  };
  return { log, clock, guard, cosign, told };
}

function grow(log: FakeLog): void {
  log.append([Buffer.alloc(65, 1)], Buffer.alloc(0));
}

const UNWITNESSED = { code: "ERR_SIGNER_UNWITNESSED" };
const CLOCK = { code: "ERR_SIGNER_CLOCK" };

describe("P3: the age of the newest cosignature", () => {
  it("stops exactly after maxUnwitnessed", () => {
    const { clock, guard, cosign } = open();
    cosign();
    clock.forward(900);
    guard.check();
    clock.forward(0.001);
    assert.throws(() => guard.check(), UNWITNESSED);
    cosign();
    guard.check();
  });

  it("counts from the witness's time, not from when it was heard", () => {
    const { clock, guard, cosign } = open();
    cosign(100);
    clock.forward(800);
    guard.check();
    clock.forward(1);
    assert.throws(() => guard.check(), UNWITNESSED);
  });

  it("THREAT-06: fresh cosignatures of a tree that the log left behind do not hide what came after", () => {
    const { log, clock, guard } = open();
    const small = log.fork(0);
    grow(small);
    guard.begin(1);
    grow(log);
    guard.begin(2);
    const cosign = (tree: FakeLog): void =>
      guard.accept(guard.open(tree.cosign(signer, clock.seconds)));
    for (let second = 0; second < 900; second += 100) {
      clock.forward(100);
      cosign(small);
      guard.check();
    }
    clock.forward(1);
    cosign(small);
    assert.throws(() => guard.check(), UNWITNESSED);
    cosign(log);
    guard.check();
  });

  it("a repeated cosignature makes nothing fresher", () => {
    const { log, clock, guard, cosign } = open();
    cosign();
    const old = guard.open(log.cosigned);
    clock.forward(901);
    guard.accept(old);
    assert.throws(() => guard.check(), UNWITNESSED);
  });

  it("there is nothing to witness before the first entry, and from then on the time runs", () => {
    const { clock, guard } = open();
    clock.forward(100_000);
    guard.check();
    guard.begin(1);
    clock.forward(900);
    guard.check();
    guard.begin(1);
    clock.forward(1);
    assert.throws(() => guard.check(), UNWITNESSED);
  });

  it("THREAT-30: what an earlier run saw counts, whatever older note is shown now", () => {
    const { clock, guard, cosign } = open();
    guard.begin(1, clock.seconds - 500);
    cosign(700);
    assert.equal(guard.sinceSeconds, clock.seconds - 500);
    clock.forward(400);
    guard.check();
    clock.forward(1);
    assert.throws(() => guard.check(), UNWITNESSED);
  });
});

describe("THREAT-29: this machine's clock", () => {
  for (const [name, seconds] of [
    ["a day back", -86_400],
    ["31 s back", -31],
    ["a day ahead", 86_400],
  ] as const)
    it(`set ${name}: refused`, () => {
      const { clock, guard, cosign } = open();
      cosign();
      clock.set(seconds);
      assert.throws(() => guard.check(), CLOCK);
    });

  it("30 s back is taken", () => {
    const { clock, guard, cosign } = open();
    cosign();
    clock.set(-30);
    guard.check();
  });

  it("setting it back again and again makes no cosignature younger", () => {
    const { clock, guard, cosign } = open();
    cosign();
    for (let count = 0; count < 90; count += 1) {
      clock.forward(10);
      clock.set(-10);
      guard.check();
    }
    clock.forward(10);
    clock.set(-10);
    assert.throws(() => guard.check(), UNWITNESSED);
  });

  it("ahead by more than 30 s is found when the witness speaks next", () => {
    const { clock, guard, cosign } = open();
    cosign();
    clock.forward(15);
    clock.set(45);
    guard.check();
    cosign(30);
    guard.check();
    clock.forward(15);
    clock.set(1);
    cosign(31);
    assert.throws(() => guard.check(), CLOCK);
    clock.set(-31);
    clock.forward(15);
    cosign();
    guard.check();
  });

  it("what was kept from before this start says nothing about the clock", () => {
    const { guard, cosign } = open();
    cosign(600);
    guard.check();
  });
});

describe("THREAT-37: a witness that dates ahead", () => {
  it("30 s are taken; one second more is refused, not kept, and told once", () => {
    const { clock, guard, cosign, told } = open();
    cosign(-30);
    assert.equal(guard.newest?.timeSeconds, clock.seconds + 30);
    clock.forward(60);
    for (const age of [-31, -3600, -100_000_000]) cosign(age);
    assert.equal(guard.newest?.timeSeconds, clock.seconds - 30);
    assert.equal(guard.sinceSeconds, clock.seconds - 30);
    assert.deepEqual(told, [[clock.seconds + 31, clock.seconds]]);
    guard.check();
  });

  it("delays nothing but the age: issuance goes on until maxUnwitnessed, and with the next good one", () => {
    const { clock, guard, cosign, told } = open();
    cosign();
    for (let minute = 0; minute < 15; minute += 1) {
      clock.forward(60);
      cosign(-3600);
      guard.check();
    }
    clock.forward(1);
    assert.throws(() => guard.check(), UNWITNESSED);
    cosign();
    guard.check();
    assert.equal(told.length, 1);
    cosign(-3600);
    assert.equal(told.length, 2);
  });

  it("a signer that starts with its clock behind takes none, and stops at maxUnwitnessed", () => {
    const { clock, guard, cosign, told } = open();
    guard.begin(1);
    for (let minute = 0; minute < 15; minute += 1) {
      cosign(-31);
      guard.check();
      clock.forward(60);
    }
    clock.forward(1);
    assert.throws(() => guard.check(), UNWITNESSED);
    assert.equal(told.length, 1);
  });

  it("what an earlier run kept of it stops nothing once a good cosignature of the whole log is there", () => {
    const { clock, guard, cosign, told } = open();
    const ahead = clock.seconds + 100_000_000;
    guard.begin(1, ahead);
    assert.deepEqual(told, [[ahead, clock.seconds]]);
    assert.throws(() => guard.check(), CLOCK);
    clock.forward(1);
    cosign();
    guard.check();
    assert.equal(guard.sinceSeconds, clock.seconds);
    clock.forward(901);
    assert.throws(() => guard.check(), UNWITNESSED);
  });

  it("THREAT-29, THREAT-30: with this clock set back before a start, no older cosignature is fresh", () => {
    const early = open();
    const { log, clock } = early;
    early.cosign();
    const old = early.guard.open(log.cosigned);
    clock.forward(86_400);
    grow(log);
    early.cosign();
    const seen = clock.seconds;
    clock.set(-86_400);
    const { guard } = open(log, clock);
    guard.begin(log.size, seen);
    guard.accept(old);
    assert.throws(() => guard.check(), CLOCK);
    guard.accept(guard.open(log.cosign(signer, seen)));
    assert.throws(() => guard.check(), CLOCK);
    clock.set(86_400);
    guard.accept(guard.open(log.cosign(signer, seen)));
    guard.check();
  });

  it("THREAT-29, THREAT-30: nor one of the same tree, which a quiet log has every few seconds", () => {
    const early = open();
    const { log, clock } = early;
    early.cosign();
    const old = early.guard.open(log.cosigned);
    clock.forward(86_400);
    early.cosign();
    const seen = clock.seconds;
    for (const back of [86_400, 86_400 + 20, 86_400 - 800]) {
      clock.set(-back);
      const { guard, cosign } = open(log, clock);
      guard.begin(log.size, seen);
      clock.forward(60);
      guard.accept(old);
      assert.throws(() => guard.check(), CLOCK, `${back} s back`);
      clock.set(back);
      guard.accept(old);
      cosign();
      guard.check();
    }
  });

  it("what an earlier run kept of it: one of the witness's from before this start does not count", () => {
    for (const [ageSeconds, refused] of [
      [1, false],
      [9, false],
      [10, true],
      [600, true],
    ] as const) {
      const { clock, guard, cosign } = open();
      guard.begin(1, clock.seconds + 100_000_000);
      clock.forward(10);
      cosign(ageSeconds);
      if (refused) assert.throws(() => guard.check(), CLOCK, `${ageSeconds} s old`);
      else guard.check();
      cosign();
      guard.check();
    }
  });

  it("this clock ahead at the start, and then set right, is over with the next good cosignature", () => {
    const { clock, guard, cosign } = open();
    clock.set(3600);
    guard.begin(1);
    cosign(3600);
    clock.set(-3600);
    clock.forward(1);
    assert.throws(() => guard.check(), CLOCK);
    cosign();
    guard.check();
  });
});

describe("what counts as a cosignature", () => {
  it("only one by the pinned witness over a checkpoint of the pinned log", () => {
    const { log, clock, guard } = open();
    const stranger = ed25519Cosigner("witness.test", generateKeyPairSync("ed25519").privateKey);
    assert.throws(() => guard.open(log.checkpoint), { name: "TlogError" });
    assert.throws(() => guard.open(log.cosign(stranger, clock.seconds)), { name: "TlogError" });
    const foreign = new FakeLog(log.origin);
    foreign.append([Buffer.alloc(65, 1)], Buffer.alloc(0));
    assert.throws(() => guard.open(foreign.cosign(signer, clock.seconds)), { name: "TlogError" });
    const other = new FakeLog("redoubt.test/other");
    other.append([Buffer.alloc(65, 1)], Buffer.alloc(0));
    assert.throws(() => guard.open(other.cosign(signer, clock.seconds)), { name: "TlogError" });
    assert.equal(guard.open(log.cosign(signer, clock.seconds)).size, 1);
  });
});
