import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import fc from "fast-check";
import { Batcher, type BatcherOptions } from "./batcher.ts";

const LIMITS = { maxItems: 8, maxBatches: 2, minBeside: 4, holdMs: 100, lingerMs: 0 };
type Limits = Omit<BatcherOptions<number>, "send">;

/** Keeps every batch open until the test ends it. */
class Sender {
  readonly batches: (readonly number[])[] = [];
  readonly batcher: Batcher<number>;
  mostUnderWay = 0;
  #open: (() => void)[] = [];
  #next = 0;

  constructor(limits: Limits) {
    this.batcher = new Batcher({ ...limits, send: (batch) => this.#send(batch) });
  }

  get underWay(): number {
    return this.#open.length;
  }

  #send(batch: readonly number[]): Promise<void> {
    this.batches.push(batch);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#open.push(resolve);
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    return promise;
  }

  /** The next `count` numbers, in this turn. */
  add(count = 1): void {
    for (let i = 0; i < count; i += 1) this.batcher.add(this.#next++);
  }

  /** Ends the oldest batch, or the one at `place` of those under way, if there is one. */
  async end(place = 0): Promise<void> {
    const [resolve] = this.#open.splice(place, 1);
    resolve?.();
    await turn();
  }

  get sizes(): readonly number[] {
    return this.batches.map(({ length }) => length);
  }
}

async function turn(): Promise<void> {
  await new Promise(setImmediate);
}

function open(t: TestContext, change: Partial<Limits> = {}): Sender {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  return new Sender({ ...LIMITS, ...change });
}

test("what was taken out is in no batch, and what comes after is", async () => {
  const sender = new Sender(LIMITS);
  sender.add(2);
  assert.deepEqual(sender.batcher.clear(), [0, 1]);
  assert.equal(sender.batcher.waiting, 0);
  await turn();
  assert.deepEqual(sender.batches, []);
  sender.add();
  await turn();
  assert.deepEqual(sender.batches, [[2]]);
});

/** A sender that has just answered a batch of `count` callers. */
async function afterBatchOf(t: TestContext, count: number, change: Partial<Limits> = {}) {
  const sender = open(t, { maxItems: 64, minBeside: 64, lingerMs: 5, ...change });
  sender.add(count);
  await turn();
  await sender.end();
  assert.deepEqual(sender.sizes, [count]);
  return sender;
}

describe("what makes a batch", () => {
  test("what arrives in one turn, and nothing waits for a timer", async (t) => {
    const sender = open(t);
    sender.add(2);
    process.nextTick(() => sender.add());
    await Promise.resolve();
    sender.add();
    assert.deepEqual([sender.batches, sender.batcher.waiting], [[], 3]);
    await turn();
    assert.deepEqual([sender.batches, sender.batcher.waiting], [[[0, 1, 2, 3]], 0]);
  });

  test("a caller alone is a batch alone, each time at once", async (t) => {
    const sender = open(t, { lingerMs: 5 });
    for (const count of [1, 2, 3]) {
      sender.add();
      await turn();
      assert.equal(sender.batches.length, count);
      await sender.end();
    }
    assert.deepEqual(sender.batches, [[0], [1], [2]]);
  });

  test("at most maxItems; what is left is a batch beside it, or waits", async (t) => {
    const full = open(t);
    full.add(8);
    await turn();
    assert.deepEqual(full.sizes, [8]);
    const less = new Sender(LIMITS);
    less.add(11);
    await turn();
    assert.deepEqual([less.sizes, less.batcher.waiting], [[8], 3]);
    const more = new Sender(LIMITS);
    more.add(12);
    await turn();
    assert.deepEqual([more.sizes, more.batcher.waiting], [[8, 4], 0]);
    assert.deepEqual(more.batches[1], [8, 9, 10, 11]);
  });
});

describe("beside a batch that is under way", () => {
  test("never more than maxBatches, however many wait and however long", async (t) => {
    const sender = open(t);
    sender.add(40);
    await turn();
    assert.deepEqual(sender.sizes, [8, 8]);
    t.mock.timers.tick(60_000);
    await turn();
    assert.deepEqual([sender.sizes, sender.batcher.waiting], [[8, 8], 24]);
    await sender.end(1);
    assert.deepEqual([sender.sizes, sender.underWay], [[8, 8, 8], 2]);
  });

  test("fewer than minBeside wait for its end, and go then", async (t) => {
    const sender = open(t);
    sender.add();
    await turn();
    sender.add(3);
    await turn();
    assert.deepEqual(sender.sizes, [1]);
    await sender.end();
    assert.deepEqual(sender.batches, [[0], [1, 2, 3]]);
    // The time of those that went is not the time of those that come.
    t.mock.timers.tick(99);
    sender.add();
    await turn();
    t.mock.timers.tick(99);
    assert.deepEqual(sender.sizes, [1, 3]);
    t.mock.timers.tick(1);
    assert.deepEqual(sender.sizes, [1, 3, 1]);
  });

  test("minBeside of them wait for nothing", async (t) => {
    const sender = open(t);
    sender.add();
    await turn();
    sender.add(3);
    await turn();
    sender.add();
    await turn();
    assert.deepEqual(sender.batches, [[0], [1, 2, 3, 4]]);
    t.mock.timers.tick(60_000);
    assert.deepEqual(sender.sizes, [1, 4]);
  });

  test("holdMs at most, counted from the first of them", async (t) => {
    const sender = open(t);
    sender.add();
    await turn();
    sender.add();
    await turn();
    t.mock.timers.tick(60);
    sender.add();
    await turn();
    t.mock.timers.tick(39);
    assert.deepEqual(sender.sizes, [1]);
    t.mock.timers.tick(1);
    assert.deepEqual(sender.batches, [[0], [1, 2]]);
  });
});

describe("after a batch", () => {
  test("16 callers that were just answered are waited for, lingerMs at most", async (t) => {
    const sender = await afterBatchOf(t, 16);
    sender.add();
    await turn();
    t.mock.timers.tick(3);
    sender.add();
    await turn();
    t.mock.timers.tick(1);
    assert.deepEqual(sender.sizes, [16]);
    t.mock.timers.tick(1);
    assert.deepEqual(sender.sizes, [16, 2]);
  });

  test("once all of them are back, nothing waits", async (t) => {
    const sender = await afterBatchOf(t, 16);
    sender.add(15);
    await turn();
    assert.deepEqual(sender.sizes, [16]);
    sender.add();
    await turn();
    assert.deepEqual(sender.sizes, [16, 16]);
    t.mock.timers.tick(60_000);
    assert.deepEqual(sender.sizes, [16, 16]);
  });

  test("those that waited for its end are callers too", async (t) => {
    const sender = open(t, { maxItems: 64, minBeside: 64, lingerMs: 5 });
    sender.add(8);
    await turn();
    sender.add(8);
    await turn();
    await sender.end();
    t.mock.timers.tick(4);
    assert.deepEqual(sender.sizes, [8]);
    t.mock.timers.tick(1);
    assert.deepEqual(sender.sizes, [8, 8]);
  });

  test("its end and a request in one turn are waited for once", async (t) => {
    const sender = open(t, { maxItems: 64, minBeside: 64, lingerMs: 5 });
    sender.add(16);
    await turn();
    sender.add();
    await sender.end();
    t.mock.timers.tick(60_000);
    assert.deepEqual(sender.sizes, [16, 1]);
  });

  test("15 callers are not waited for, nor any where lingerMs is 0", async (t) => {
    const few = await afterBatchOf(t, 15);
    few.add();
    await turn();
    assert.deepEqual(few.sizes, [15, 1]);
    t.mock.timers.reset();
    const many = await afterBatchOf(t, 64, { lingerMs: 0 });
    many.add();
    await turn();
    assert.deepEqual(many.sizes, [64, 1]);
  });

  test("minBeside of them go at once, however many were answered", async (t) => {
    const sender = await afterBatchOf(t, 64, { minBeside: 20 });
    sender.add(19);
    await turn();
    assert.deepEqual(sender.sizes, [64]);
    sender.add();
    await turn();
    assert.deepEqual(sender.sizes, [64, 20]);
  });
});

const LONG_MS = 1000;
const STEP = fc.oneof(
  fc.record({ add: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ end: fc.nat(3) }),
  fc.record({ tick: fc.integer({ min: 1, max: 30 }) }),
  fc.constant({ turn: true }),
);
type Step = typeof STEP extends fc.Arbitrary<infer S> ? S : never;
const ANY_LIMITS = fc.record({
  maxItems: fc.integer({ min: 1, max: 40 }),
  maxBatches: fc.integer({ min: 1, max: 4 }),
  minBeside: fc.integer({ min: 1, max: 40 }),
  holdMs: fc.integer({ min: 1, max: 20 }),
  lingerMs: fc.nat(10),
});

async function take(t: TestContext, sender: Sender, step: Step): Promise<void> {
  if ("add" in step) sender.add(step.add);
  else if ("end" in step) await sender.end(step.end % Math.max(1, sender.underWay));
  else if ("tick" in step) t.mock.timers.tick(step.tick);
  else await turn();
}

test("property: whatever comes when, nothing is lost, sent twice, out of order or beyond a bound", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let sent = 0;
  const run = async (limits: Limits, steps: readonly Step[]): Promise<void> => {
    const sender = new Sender(limits);
    for (const step of steps) await take(t, sender, step);
    const count = steps.reduce((sum, step) => sum + ("add" in step ? step.add : 0), 0);
    // Each end lets at least one more go; a batch that ended starts the next without anybody's help.
    for (let rounds = 0; rounds <= count + 1; rounds += 1) {
      await turn();
      t.mock.timers.tick(LONG_MS);
      await sender.end();
    }
    assert.equal(sender.underWay, 0);
    t.mock.timers.tick(LONG_MS);
    assert.deepEqual(
      sender.batches.flat(),
      Array.from({ length: count }, (_, i) => i),
    );
    assert.equal(sender.sizes.includes(0), false);
    assert.equal(Math.max(0, ...sender.sizes) <= limits.maxItems, true);
    assert.equal(sender.mostUnderWay <= limits.maxBatches, true);
    sent += count;
  };
  const steps = fc.array(STEP, { maxLength: 24 });
  await fc.assert(fc.asyncProperty(ANY_LIMITS, steps, run), { numRuns: 150 });
  assert.equal(sent > 1000, true);
});
