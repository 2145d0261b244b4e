import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { IssuedMemory, OTHER_REALM, REALM } from "../../testing/issued-memory.ts";
import { DigestFilter } from "./digest-filter.ts";
import { KEPT_SECONDS } from "./issued-join.ts";
import { shelfOf, sortByShelf } from "./packed-store.ts";

/** As many as go on the shelves together. */
const RUN = 65_536;

function at(digests: Buffer, index: number): Buffer {
  return digests.subarray(32 * index, 32 * (index + 1));
}

/** Logged, delivered and written in one tick. */
function settle(memory: IssuedMemory, digests: Buffer, realm = REALM): void {
  memory.addTo(realm, digests);
  memory.deliver(digests, realm);
  memory.tick();
}

describe("settled digests", () => {
  it("are one row when they are few, and one for each shelf when they are many", () => {
    using memory = new IssuedMemory();
    const digests = randomBytes(RUN * 32);
    settle(memory, digests.subarray(0, -32));
    assert.deepEqual([memory.countOf("blocks"), memory.countOf("runs")], [1, 0]);
    settle(memory, digests.subarray(-32));
    assert.deepEqual(
      [memory.countOf("blocks"), memory.countOf("runs"), memory.countOf("shelves")],
      [0, 1, 1024],
    );
    assert.deepEqual([memory.countOf("issued"), memory.rows, memory.join.held], [0, RUN, 0]);
    for (const index of [0, 1, RUN / 2, RUN - 1])
      assert.equal(memory.join.has(at(digests, index)), true);
    assert.equal(memory.join.has(randomBytes(32)), false);
  });

  it("go on the shelves, too, when they are few in many blocks", () => {
    using memory = new IssuedMemory();
    const digests = randomBytes(4096 * 32);
    for (let i = 0; i < 4096; i++) settle(memory, at(digests, i));
    assert.deepEqual([memory.countOf("blocks"), memory.countOf("runs")], [0, 1]);
    for (let i = 0; i < 4096; i++) assert.equal(memory.join.has(at(digests, i)), true);
  });

  it("are found after a crash: in blocks, between blocks and shelves, and on the shelves", () => {
    using memory = new IssuedMemory();
    const digests = randomBytes(RUN * 32);
    const [first, last] = [at(digests, 0), at(digests, RUN - 1)];
    settle(memory, digests.subarray(0, -32));
    memory.restart();
    assert.deepEqual([memory.join.has(first), memory.join.deliver(first, REALM)], [true, 0]);
    memory.add(last);
    memory.join.deliver(last, REALM);
    memory.killedInTick();
    // `follow` stands before the last digest. So that one is read again, and its delivery is in the journal or is
    // reported again.
    assert.deepEqual([memory.countOf("blocks"), memory.countOf("runs")], [1, 0]);
    assert.deepEqual([memory.join.has(first), memory.join.has(last)], [true, false]);
    settle(memory, last);
    assert.equal(memory.countOf("runs"), 1);
    memory.restart();
    for (const digest of [first, last])
      assert.deepEqual([memory.join.has(digest), memory.join.deliver(digest, REALM)], [true, 0]);
    memory.run(60);
    assert.deepEqual(memory.judged(), []);
  });

  for (const where of ["blocks", "shelves"] as const)
    it(`THREAT-28: in ${where} are delivered for their own realm only`, () => {
      using memory = new IssuedMemory();
      const digests = randomBytes((where === "blocks" ? 10 : RUN) * 32);
      settle(memory, digests);
      settle(memory, randomBytes(RUN * 32), OTHER_REALM);
      const digest = at(digests, 3);
      for (const restart of [false, true]) {
        if (restart) memory.restart();
        assert.equal(memory.join.deliver(digest, REALM), 0);
        assert.equal(memory.join.deliver(digest, OTHER_REALM), undefined);
        assert.equal(memory.join.has(digest), true);
      }
    });

  it("THREAT-28: what is logged again after it was settled is awaited again", () => {
    using memory = new IssuedMemory();
    const digest = randomBytes(32);
    settle(memory, digest);
    memory.add(digest);
    memory.tick();
    memory.run(45);
    assert.deepEqual(memory.judged(), [digest]);
  });

  it("THREAT-28: beside open ones of the same reading leave those open, over a crash and a run", () => {
    using memory = new IssuedMemory();
    const digests = randomBytes(RUN * 32);
    memory.add(digests);
    const open = at(digests, 77);
    memory.deliver(digests.subarray(0, 77 * 32));
    memory.deliver(digests.subarray(78 * 32));
    memory.run(2);
    memory.tick();
    assert.deepEqual([memory.countOf("issued"), memory.rows, memory.join.held], [1, RUN, 1]);
    settle(memory, randomBytes(RUN * 32));
    assert.equal(memory.join.held, 1);
    memory.restart();
    memory.run(44);
    assert.deepEqual(memory.judged(), []);
    memory.run(1);
    assert.deepEqual(memory.judged(), [open]);
    assert.equal(memory.join.deliver(open, REALM), 0);
  });

  it("that nobody awaits, from before the first look, are known all the same", () => {
    using memory = new IssuedMemory();
    const digests = randomBytes(10 * 32);
    memory.addTo(REALM, digests, "none");
    memory.tick();
    memory.restart();
    memory.run(60);
    assert.deepEqual([memory.judged(), memory.countOf("issued")], [[], 0]);
    assert.deepEqual(memory.deliver(digests), Array.from({ length: 10 }).fill(0));
  });

  it("are forgotten by the run, to the second after its newest", () => {
    using memory = new IssuedMemory();
    const digests = randomBytes(RUN * 32);
    settle(memory, digests.subarray(0, 32));
    memory.run(100);
    settle(memory, digests.subarray(32));
    memory.run(50);
    const young = randomBytes(32);
    settle(memory, young);
    memory.run(KEPT_SECONDS - 50);
    memory.tick();
    assert.deepEqual([memory.join.has(at(digests, 0)), memory.rows], [true, RUN + 1]);
    memory.run(1);
    memory.tick();
    assert.deepEqual([memory.join.has(at(digests, 1)), memory.rows], [false, 1]);
    assert.deepEqual([memory.countOf("runs"), memory.join.has(young)], [0, true]);
    assert.equal(memory.join.deliver(at(digests, 1), REALM), undefined);
    memory.restart();
    assert.deepEqual([memory.join.has(at(digests, 1)), memory.join.has(young)], [false, true]);
  });
});

describe("shelves", () => {
  it("hold each digest once, where it is looked for", () => {
    fc.assert(
      fc.property(fc.nat(300), (count) => {
        const digests = randomBytes(count * 32);
        const shelves = sortByShelf(digests);
        const found = shelves.flatMap(([shelf, part]) =>
          Array.from({ length: part.length / 32 }, (_, i) => {
            assert.equal(shelfOf(at(part, i)), shelf);
            return at(part, i).toString("hex");
          }),
        );
        const all = Array.from({ length: count }, (_, i) => at(digests, i).toString("hex"));
        assert.deepEqual(found.toSorted(), all.toSorted());
      }),
      { numRuns: 30 },
    );
  });

  it("do not hold what the bytes of two neighbours look like", () => {
    using memory = new IssuedMemory();
    // All on one shelf, with one filter: only where a digest begins tells them apart.
    const digests = Buffer.alloc(RUN * 32, 0xaa);
    for (let i = 0; i < RUN; i++) digests.writeUInt16BE(i, 32 * i + 20);
    settle(memory, digests);
    const across = Buffer.from(digests.subarray(1024 * 32 + 1, 1025 * 32 + 1));
    assert.equal(memory.countOf("shelves"), 1);
    assert.equal(memory.join.has(across), false);
    assert.equal(memory.join.has(at(digests, 1024)), true);
  });
});

describe("filter of a run", () => {
  it("never denies what it holds, and denies nearly all else", () => {
    for (const count of [1, 31, 1000, 5000]) {
      const digests = randomBytes(count * 32);
      const filter = DigestFilter.of(digests);
      const again = new DigestFilter(Buffer.from(filter.bytes));
      for (let i = 0; i < count; i++) assert.equal(again.mayHold(at(digests, i)), true);
      const others = randomBytes(10_000 * 32);
      let wrong = 0;
      for (let i = 0; i < 10_000; i++) wrong += again.mayHold(at(others, i)) ? 1 : 0;
      assert.ok(wrong < 500, `${wrong} of 10000 with ${count}`);
    }
  });
});
