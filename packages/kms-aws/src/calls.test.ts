import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { KeyError } from "@redoubt/keys";
import { Calls, type CallsOptions } from "./calls.ts";
import { RequestFailure, type FailureKind } from "./failures.ts";
import { DEFAULT_LIMITS, type AwsKmsLimits } from "./options.ts";

const BUSY = { code: "ERR_KEY_BUSY", retryAfterSeconds: 1 };

function fail(kind: FailureKind) {
  return new RequestFailure(kind, "as the test asked");
}

async function hang(): Promise<never> {
  return new Promise<never>(() => undefined);
}

async function takeAWhile(signal: AbortSignal): Promise<string> {
  return delay(20, "done", { signal });
}

/** Time is what pauses add up to. */
function setUp(limits: Partial<AwsKmsLimits> = {}, more: Partial<CallsOptions> = {}) {
  const pauses: number[] = [];
  let nowMs = 0;
  const calls = new Calls({
    limits: { ...DEFAULT_LIMITS, ...limits },
    clock: { monotonic: () => nowMs },
    random: () => 1 - 2 ** -53,
    pause: async (ms) => {
      pauses.push(ms);
      nowMs += ms;
    },
    sink: () => undefined,
    ...more,
  });
  const pass = (ms: number) => void (nowMs += ms);
  return { calls, pauses, pass };
}

describe("Calls", () => {
  it("tries again after growing pauses, so often and no more", async () => {
    const { calls, pauses } = setUp({ maxAttempts: 7 });
    let tries = 0;
    const request = async () => {
      tries += 1;
      throw fail("throttled");
    };
    await assert.rejects(calls.run({ operation: "Sign", request }), BUSY);
    assert.deepEqual([tries, pauses], [7, [100, 200, 400, 800, 1000, 1000]]);
    tries = -1;
    const recovering = async () => ((tries += 1) < 6 ? Promise.reject(fail("transient")) : "done");
    assert.equal(await calls.run({ operation: "Sign", request: recovering }), "done");
  });

  it("spreads its pauses by chance", async () => {
    for (const [random, pause] of [
      [0, 0],
      [0.5, 50],
      [0.999, 100],
    ] as const) {
      const { calls, pauses } = setUp({ maxAttempts: 2 }, { random: () => random });
      const request = async () => Promise.reject(fail("throttled"));
      await assert.rejects(calls.run({ operation: "Sign", request }), BUSY);
      assert.deepEqual(pauses, [pause]);
    }
  });

  it("begins no try that would end after its time", async () => {
    for (const [callTimeoutMs, expected] of [
      [700, 3],
      [701, 4],
    ] as const) {
      const { calls } = setUp({ callTimeoutMs, maxAttempts: 10 });
      let tries = 0;
      const request = async () => {
        tries += 1;
        throw fail("throttled");
      };
      await assert.rejects(calls.run({ operation: "Sign", request }), BUSY);
      assert.equal(tries, expected);
    }
  });

  it("takes what says that it was done before, and never repeats what must not be", async () => {
    const { calls, pauses } = setUp();
    const exists = { operation: "A", request: async () => Promise.reject(fail("exists")) };
    assert.equal(await calls.run({ ...exists, done: ["exists"] }), undefined);
    await assert.rejects(calls.run(exists), { code: "ERR_KEY_CUSTODY" });
    const lost = { operation: "B", request: async () => Promise.reject(fail("transient")) };
    await assert.rejects(calls.run({ ...lost, repeat: "if-refused" }), {
      code: "ERR_KEY_BUSY",
      retryAfterSeconds: 1,
    });
    assert.deepEqual(pauses, []);
  });

  it("THREAT-26: so many at a time, so many wait, one more is refused at once", async () => {
    const { calls } = setUp({ maxConcurrent: 2, maxWaiting: 1 });
    const ends: (() => void)[] = [];
    const begun: number[] = [];
    const start = async (n: number) =>
      calls.run({
        operation: "Sign",
        request: async () => {
          begun.push(n);
          await new Promise<void>((resolve) => ends.push(resolve));
          return n;
        },
      });
    const running = [start(1), start(2), start(3)];
    await turn();
    await assert.rejects(start(4), BUSY);
    assert.deepEqual(begun, [1, 2]);
    ends[0]?.();
    assert.equal(await running[0], 1);
    assert.deepEqual(begun, [1, 2, 3]);
    const fifth = start(5);
    await turn();
    await assert.rejects(start(6), BUSY);
    ends[1]?.();
    ends[2]?.();
    assert.deepEqual([await running[1], await running[2]], [2, 3]);
    await turn();
    ends[3]?.();
    assert.equal(await fifth, 5);
    // Every place came back.
    const again = [start(7), start(8)];
    await turn();
    ends[4]?.();
    ends[5]?.();
    assert.deepEqual(await Promise.all(again), [7, 8]);
  });

  it("gives up what waited too long, without asking KMS", async () => {
    const { calls, pass } = setUp({ maxConcurrent: 1, callTimeoutMs: 100 });
    const { promise, resolve: end } = Promise.withResolvers<void>();
    const first = calls.run({ operation: "Sign", request: async () => promise });
    await turn();
    let asked = 0;
    const request = async () => (asked += 1);
    const second = assert.rejects(calls.run({ operation: "Sign", request }), BUSY);
    pass(100);
    end();
    await Promise.all([first, second]);
    assert.equal(asked, 0);
    assert.equal(await calls.run({ operation: "Sign", request }), 1);
  });

  it("gives up a try that does not end, and tells it", async () => {
    const { calls } = setUp({ attemptTimeoutMs: 5, maxAttempts: 2 });
    const told: boolean[] = [];
    const request = async (signal: AbortSignal) =>
      new Promise<never>(() => {
        signal.addEventListener("abort", () => told.push(signal.aborted));
      });
    await assert.rejects(calls.run({ operation: "Sign", request }), {
      code: "ERR_KEY_BUSY",
      message: /Sign/,
    });
    assert.deepEqual(told, [true, true]);
  });

  it("ends a try with its call, whatever time the try has left", async () => {
    const { calls } = setUp({ callTimeoutMs: 5, attemptTimeoutMs: 60_000 });
    const error: unknown = await calls
      .run({ operation: "Sign", request: takeAWhile })
      .catch((reason: unknown) => reason);
    assert.ok(error instanceof KeyError && error.cause instanceof Error);
    assert.deepEqual([error.code, error.retryAfterSeconds], ["ERR_KEY_BUSY", 1]);
    assert.deepEqual(
      [error.message, error.cause.name, error.cause.message],
      ["AWS KMS failed at Sign", "RequestFailure", "AWS KMS did not answer in time"],
    );
  });

  it("tries again what the call adds, and writes each repetition into the log", async () => {
    const events: unknown[] = [];
    const { calls } = setUp({}, { sink: (event, fields) => void events.push([event, fields]) });
    const failures: FailureKind[] = ["not-found", "throttled", "not-found", "not-found"];
    const request = async () => Promise.reject(fail(failures[events.length] ?? "answer"));
    const call = { operation: "CreateAlias", request };
    await assert.rejects(calls.run(call), { code: "ERR_KEY_UNKNOWN" });
    assert.deepEqual(events, []);
    await assert.rejects(calls.run({ ...call, retry: ["not-found"] }), { code: "ERR_KEY_UNKNOWN" });
    const kinds = ["not-found", "throttled", "not-found"] as const;
    assert.deepEqual(
      events,
      kinds.map((kind, i) => ["kms_retry", { operation: "CreateAlias", kind, attempt: i + 1 }]),
    );
  });

  it("ends with what runs, waits and pauses when it is closed", async () => {
    const paused = Promise.withResolvers<void>();
    const pause = async (_ms: number, signal: AbortSignal) => {
      paused.resolve();
      await new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("aborted")));
      });
    };
    const { calls } = setUp({ maxConcurrent: 2 }, { pause });
    const closed = { name: "KeyError", code: "ERR_KEY_UNKNOWN" };
    const ends = [async () => Promise.reject(fail("throttled")), hang, hang].map(async (request) =>
      assert.rejects(calls.run({ operation: "Sign", request }), closed),
    );
    await paused.promise;
    calls.close();
    await Promise.all(ends);
    await assert.rejects(calls.run({ operation: "Sign", request: hang }), closed);
  });
});
