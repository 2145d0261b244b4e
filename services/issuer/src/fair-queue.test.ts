import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { FairQueue } from "./fair-queue.ts";

const LIMITS = { batch: 4, perClient: 8, total: 12 };

/** Items are a client's letter and a number. */
function open(limits = LIMITS) {
  const refused: string[] = [];
  const queue = new FairQueue<string>({
    ...limits,
    clientOf: (item) => item.slice(0, 1),
    refuse: (item) => refused.push(item),
  });
  const push = (client: string, count: number): void => {
    for (let n = 1; n <= count; n += 1) queue.push(`${client}${n}`);
  };
  return { queue, refused, push };
}

describe("THREAT-36: turns", () => {
  test("what fits into one batch goes in the order of arrival", () => {
    const { queue, push } = open();
    push("a", 2);
    push("b", 1);
    push("a", 1);
    assert.equal(queue.length, 4);
    assert.deepEqual(queue.take(4), ["a1", "a2", "b1", "a1"]);
    assert.deepEqual([queue.length, queue.take(4)], [0, []]);
  });

  test("where more wait, each client has its turn, and a client with more items gets the rest", () => {
    const { queue, push } = open({ ...LIMITS, perClient: 100, total: 100 });
    push("a", 7);
    push("b", 2);
    push("c", 1);
    assert.deepEqual(queue.take(4), ["a1", "b1", "c1", "a2"]);
    assert.deepEqual(queue.take(4), ["b2", "a3", "a4", "a5"]);
    assert.deepEqual(queue.take(4), ["a6", "a7"]);
    assert.equal(queue.length, 0);
  });

  test("a client alone gets whole batches, in its order", () => {
    const { queue, push } = open({ ...LIMITS, perClient: 100 });
    push("a", 10);
    assert.deepEqual(queue.take(4), ["a1", "a2", "a3", "a4"]);
    assert.deepEqual(queue.take(4), ["a5", "a6", "a7", "a8"]);
    assert.deepEqual(queue.take(4), ["a9", "a10"]);
  });

  test("who had the last turn is not the first of the next batch", () => {
    const { queue, push } = open({ ...LIMITS, perClient: 100, total: 100 });
    for (const client of "abcdef") push(client, 2);
    assert.deepEqual(queue.take(4), ["a1", "b1", "c1", "d1"]);
    assert.deepEqual(queue.take(4), ["e1", "f1", "a2", "b2"]);
  });

  test("everything can be taken at once", () => {
    const { queue, push } = open();
    push("a", 6);
    push("b", 1);
    assert.equal(queue.take(Infinity).length, 7);
    assert.equal(queue.length, 0);
  });
});

describe("THREAT-36: bounds", () => {
  test("a client over its own is turned away, another is not", () => {
    const { queue, refused, push } = open();
    push("a", 10);
    assert.deepEqual(refused, ["a9", "a10"]);
    push("b", 1);
    assert.deepEqual([queue.length, refused.length], [9, 2]);
  });

  test("over the total, the client with most items loses its newest; that client itself gets no room", () => {
    const { queue, refused, push } = open();
    push("a", 8);
    push("b", 4);
    assert.deepEqual(refused, []);
    push("c", 1);
    assert.deepEqual(refused, ["a8"]);
    push("a", 1);
    assert.deepEqual(refused, ["a8", "a1"]);
    push("b", 2);
    assert.deepEqual(refused, ["a8", "a1", "a7", "b2"]);
    assert.equal(queue.length, 12);
  });

  test("nothing is lost, doubled or out of its client's order, and no bound is passed", () => {
    const step = fc.oneof(
      fc.record({ client: fc.constantFrom("a", "b", "c", "d") }),
      fc.record({ take: fc.integer({ min: 1, max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { queue, refused } = open();
        const taken: string[] = [];
        let pushed = 0;
        for (const one of steps) {
          if ("take" in one) {
            const before = queue.length;
            const batch = queue.take(one.take);
            assert.equal(batch.length, Math.min(before, one.take));
            taken.push(...batch);
          } else {
            pushed += 1;
            queue.push(`${one.client}${pushed}`);
          }
          assert.ok(queue.length <= LIMITS.total);
        }
        taken.push(...queue.take(Infinity));
        assert.equal(new Set([...taken, ...refused]).size, pushed);
        assert.equal(taken.length + refused.length, pushed);
        for (const client of "abcd") {
          const order = taken
            .filter((item) => item.startsWith(client))
            .map((item) => Number(item.slice(1)));
          assert.deepEqual(
            order,
            order.toSorted((x, y) => x - y),
          );
        }
      }),
    );
  });
});
