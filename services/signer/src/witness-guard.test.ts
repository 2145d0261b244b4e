import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { createVerifierKey, ed25519Cosigner, SIGNATURE_TYPE } from "@redoubt/tlog";
import { FakeLog } from "./testing/fake-log.ts";
import { TestClock } from "./testing/test-clock.ts";
import { cosignedNote, WitnessGuard } from "./witness-guard.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const signer = ed25519Cosigner("witness.test", privateKey);
const witness = createVerifierKey({
  name: "witness.test",
  type: SIGNATURE_TYPE.cosignature,
  publicKey,
});

function open() {
  const log = new FakeLog("redoubt.test/log");
  log.append([Buffer.alloc(65, 1)], Buffer.alloc(0));
  const clock = new TestClock();
  const maxUnwitnessedSeconds = 900;
  const guard = new WitnessGuard({
    log: log.origin,
    logKey: log.key,
    witness,
    maxUnwitnessedSeconds,
    clock,
  });
  /** The witness vouches for the log, by its own clock. */
  const cosign = (ageSeconds = 0): void => {
    guard.accept(guard.open(log.cosign(signer, clock.seconds - ageSeconds)));
  };
  return { log, clock, guard, cosign };
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
    guard.begin();
    clock.forward(900);
    guard.check();
    guard.begin();
    clock.forward(1);
    assert.throws(() => guard.check(), UNWITNESSED);
  });

  it("THREAT-30: what an earlier run saw counts, whatever older note is shown now", () => {
    const { clock, guard, cosign } = open();
    guard.begin(clock.seconds - 500);
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

  it("is found as a note or in an object, and nowhere else", () => {
    assert.equal(cosignedNote({ cosigned: "note" }), "note");
    assert.equal(cosignedNote({ cosigned: { note: "note", size: 1 } }), "note");
    for (const cosigned of [null, "", 1, [], {}, { note: 1 }])
      assert.equal(cosignedNote({ cosigned }), undefined);
    assert.equal(cosignedNote({}), undefined);
  });
});
