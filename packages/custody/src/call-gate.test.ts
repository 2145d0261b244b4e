import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  AttemptTimeout,
  CallGate,
  DEFAULT_LIMITS,
  type CallLimits,
  type GateCall,
  type GateParts,
  type Pacing,
  type Repeat,
  type Verdict,
} from "./call-gate.ts";
import { KeyError } from "@redoubt/keys";

class Throttled extends Error {
  readonly afterMs: number;
  constructor(afterMs = 0) {
    super("slower");
    this.afterMs = afterMs;
  }
}

function judge(error: unknown): Verdict {
  if (error instanceof Throttled)
    return { kind: "again", refused: true, cause: error, afterMs: error.afterMs };
  if (error instanceof AttemptTimeout) return { kind: "again", refused: false, cause: error };
  return { kind: "final", error: new KeyError("ERR_KEY_CUSTODY", "Custody failed") };
}

async function run<T>(
  gate: CallGate,
  repeat: Repeat,
  request: GateCall<T>["request"],
  more: Partial<GateCall<T>> = {},
): Promise<T> {
  return gate.run({ repeat, request, judge, ...more });
}

interface GateChanges {
  readonly random?: GateParts["random"];
  readonly wait?: GateParts["wait"];
  readonly pacing?: Pacing;
}

/** A gate whose pauses take no time and are written down. */
function makeGate(limits: Partial<CallLimits> = {}, changes: GateChanges = {}) {
  const pauses: number[] = [];
  let now = 0;
  const {
    random = () => 1,
    wait = async (ms) => {
      pauses.push(ms);
      now += ms;
    },
    pacing,
  } = changes;
  const parts = { clock: { monotonic: () => now }, random, wait };
  const gate = new CallGate({ ...DEFAULT_LIMITS, ...limits }, parts, pacing);
  const pass = (ms: number): void => {
    now += ms;
  };
  return { gate, pauses, pass };
}

function failing(times: number, failure: () => Error = () => new Throttled()) {
  const tries = { count: 0 };
  const call = async (): Promise<string> => {
    tries.count++;
    if (tries.count <= times) throw failure();
    return "done";
  };
  return { tries, call };
}

const isBusy = (retryAfterSeconds: number) => ({
  name: "KeyError",
  code: "ERR_KEY_BUSY",
  retryAfterSeconds,
});

describe("a gate before a service", () => {
  it("answers at once where nothing fails", async () => {
    const { gate, pauses } = makeGate();
    assert.equal(await run(gate, "always", async () => "done"), "done");
    assert.deepEqual(pauses, []);
  });

  it("tries a throttled call again, each time after up to twice as long", async () => {
    const { gate, pauses } = makeGate();
    assert.equal(await run(gate, "always", failing(3).call), "done");
    assert.deepEqual(pauses, [100, 200, 400]);
    const half = makeGate({}, { random: () => 0.5 });
    assert.equal(await run(half.gate, "always", failing(2).call), "done");
    assert.deepEqual(half.pauses, [50, 100]);
  });

  it("gives up after the last attempt, and says when to come back", async () => {
    const { gate } = makeGate();
    const { tries, call } = failing(4);
    await assert.rejects(run(gate, "always", call), isBusy(1));
    assert.equal(tries.count, 4);
  });

  it("waits as long as the service asks, or tells the caller to", async () => {
    const { gate, pauses } = makeGate();
    assert.equal(await run(gate, "always", failing(1, () => new Throttled(3000)).call), "done");
    assert.deepEqual(pauses, [3000]);
    const { tries, call } = failing(1, () => new Throttled(15_001));
    await assert.rejects(run(gate, "always", call), isBusy(16));
    assert.equal(tries.count, 1);
  });

  it("does not pause past the end of its patience", async () => {
    const { gate } = makeGate({ callTimeoutMs: 300 });
    const { tries, call } = failing(3);
    await assert.rejects(run(gate, "always", call), isBusy(1));
    assert.equal(tries.count, 2);
  });

  it("lets its pauses grow so far and no further", async () => {
    const { gate, pauses } = makeGate({ maxAttempts: 9 });
    assert.equal(await run(gate, "always", failing(8).call), "done");
    assert.deepEqual(pauses, [100, 200, 400, 800, 1600, 3200, 4000, 4000]);
    const pacing = { longestPauseMs: 150, isLastAttemptCut: false };
    const short = makeGate({}, { pacing });
    assert.equal(await run(short.gate, "always", failing(3).call), "done");
    assert.deepEqual(short.pauses, [100, 150, 150]);
  });

  it("comes to what the failure was judged to, where that is not back-pressure", async () => {
    const error = new KeyError("ERR_KEY_DENIED", "Not yet");
    for (const [repeat, refused, tries] of [
      ["always", false, 4],
      ["if-refused", true, 4],
      ["if-refused", false, 1],
    ] as const) {
      const { gate } = makeGate();
      const work = failing(9);
      const judgeAgain = (cause: unknown): Verdict => ({ kind: "again", refused, cause, error });
      const failure: unknown = await run(gate, repeat, work.call, { judge: judgeAgain }).catch(
        (reason: unknown) => reason,
      );
      assert.equal(failure, error);
      assert.equal(work.tries.count, tries);
    }
  });

  it("tells of each failure that another attempt follows, and of no other", async () => {
    const told: [unknown, number][] = [];
    const onRepeat = (failure: unknown, attempt: number) => void told.push([failure, attempt]);
    const failures = [new Throttled(), new AttemptTimeout(), new Error("no")];
    const request = async (): Promise<never> => Promise.reject(failures[told.length]);
    await assert.rejects(run(makeGate().gate, "always", request, { onRepeat }), {
      code: "ERR_KEY_CUSTODY",
    });
    assert.deepEqual(told, [
      [failures[0], 1],
      [failures[1], 2],
    ]);
    told.length = 0;
    const last = makeGate({ maxAttempts: 1 });
    await assert.rejects(run(last.gate, "always", failing(9).call, { onRepeat }), isBusy(1));
    assert.deepEqual(told, []);
  });

  it("passes on what is wrong with a pause, and gives its place back", async () => {
    const broken = new TypeError("no timer");
    const { gate } = makeGate({ maxConcurrent: 1 }, { wait: async () => Promise.reject(broken) });
    await assert.rejects(run(gate, "always", failing(1).call), broken);
    assert.equal(await run(gate, "always", async () => "done"), "done");
  });

  it("fails at once for what no repetition can change", async () => {
    const { gate } = makeGate();
    const { tries, call } = failing(9, () => new Error("no"));
    await assert.rejects(run(gate, "always", call), { code: "ERR_KEY_CUSTODY" });
    assert.equal(tries.count, 1);
  });

  it("repeats what must not happen twice only where it did not happen", async () => {
    const { gate } = makeGate();
    assert.equal(await run(gate, "if-refused", failing(2).call), "done");
    const { tries, call } = failing(1, () => new AttemptTimeout());
    await assert.rejects(run(gate, "if-refused", call), isBusy(1));
    assert.equal(tries.count, 1);
    assert.equal(await run(gate, "always", failing(1, () => new AttemptTimeout()).call), "done");
  });

  it("ends an attempt on time, whether or not it heeds its signal", async () => {
    const { gate } = makeGate({ attemptTimeoutMs: 1, maxAttempts: 2 });
    const signals: AbortSignal[] = [];
    const never = async (signal: AbortSignal): Promise<never> => {
      signals.push(signal);
      return Promise.withResolvers<never>().promise;
    };
    await assert.rejects(run(gate, "always", never), isBusy(1));
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, true],
    );
  });
});

async function takeAWhile(signal: AbortSignal): Promise<string> {
  return delay(20, "done", { signal });
}

describe("an attempt that outlasts its call", () => {
  const limits = { callTimeoutMs: 5, attemptTimeoutMs: 60_000 };

  it("ends with it where it is cut", async () => {
    const pacing = { longestPauseMs: 1000, isLastAttemptCut: true };
    const { gate } = makeGate(limits, { pacing });
    await assert.rejects(run(gate, "always", takeAWhile), isBusy(1));
    // Its own time, where that is the shorter one.
    const own = makeGate(
      { callTimeoutMs: 60_000, attemptTimeoutMs: 5, maxAttempts: 1 },
      { pacing },
    );
    await assert.rejects(run(own.gate, "always", takeAWhile), isBusy(1));
    const long = makeGate({ callTimeoutMs: 60_000 }, { pacing });
    assert.equal(await run(long.gate, "always", takeAWhile), "done");
  });

  it("has all of its own time where it is not", async () => {
    assert.equal(await run(makeGate(limits).gate, "always", takeAWhile), "done");
    const own = makeGate({ callTimeoutMs: 60_000, attemptTimeoutMs: 5, maxAttempts: 1 });
    await assert.rejects(run(own.gate, "always", takeAWhile), isBusy(1));
  });
});

async function waitForEver(_: number, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
  return promise;
}

/** Everything that is due has happened. */
const turn = async (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Calls that end when they are told to. */
class OpenCalls {
  readonly ends: (() => void)[] = [];
  atOnce = 0;
  most = 0;

  readonly call = async (): Promise<void> => {
    this.most = Math.max(this.most, ++this.atOnce);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ends.push(resolve);
    await promise;
    this.atOnce--;
  };
}

describe("the queue of a gate", () => {
  it("lets in so many at once, keeps so many waiting, and refuses one more", async () => {
    const { gate } = makeGate({ maxConcurrent: 2, maxWaiting: 3 });
    const calls = new OpenCalls();
    const runs = Array.from({ length: 5 }, async () => run(gate, "always", calls.call));
    await assert.rejects(run(gate, "always", calls.call), isBusy(4));
    await turn();
    assert.deepEqual([calls.atOnce, calls.ends.length], [2, 2]);
    for (let ended = 0; ended < 5; ended++) {
      calls.ends[ended]?.();
      await turn();
    }
    await Promise.all(runs);
    assert.deepEqual([calls.ends.length, calls.most], [5, 2]);
    const last = run(gate, "always", calls.call);
    await turn();
    calls.ends[5]?.();
    await last;
  });

  it("THREAT-26: keeps nobody waiting where nobody may, and says how long its pauses are", async () => {
    const pacing = { longestPauseMs: 1000, isLastAttemptCut: true };
    const { gate } = makeGate({ maxConcurrent: 1, maxWaiting: 0 }, { pacing });
    const calls = new OpenCalls();
    const first = run(gate, "always", calls.call);
    await assert.rejects(run(gate, "always", calls.call), isBusy(1));
    await turn();
    calls.ends[0]?.();
    await first;
    assert.equal(await run(gate, "always", async () => "done"), "done");
  });

  it("hands a place on, rather than to somebody who just came", async () => {
    const { gate } = makeGate({ maxConcurrent: 1 });
    const calls = new OpenCalls();
    const first = run(gate, "always", calls.call);
    const second = run(gate, "always", calls.call);
    await turn();
    calls.ends[0]?.();
    const third = first.then(async () => run(gate, "always", calls.call));
    await turn();
    assert.equal(calls.most, 1);
    calls.ends[1]?.();
    await second;
    await turn();
    calls.ends[2]?.();
    await third;
    assert.equal(calls.most, 1);
  });

  it("tells who waited too long for a turn", async () => {
    const { gate, pass } = makeGate({ maxConcurrent: 1, callTimeoutMs: 1000 });
    const calls = new OpenCalls();
    const first = run(gate, "always", calls.call);
    const second = run(gate, "always", calls.call);
    await turn();
    pass(1000);
    calls.ends[0]?.();
    await first;
    await assert.rejects(second, isBusy(4));
    assert.equal(calls.ends.length, 1);
  });

  it("gives its place back after a failure", async () => {
    const { gate } = makeGate({ maxConcurrent: 1, maxWaiting: 1 });
    await assert.rejects(run(gate, "always", failing(9).call), isBusy(1));
    assert.equal(await run(gate, "always", async () => "done"), "done");
  });

  it("ends everything when it is closed: under way, waiting and to come", async () => {
    const { gate } = makeGate({ maxConcurrent: 1 });
    const underWay = run(gate, "always", async () => Promise.withResolvers<never>().promise);
    const waiting = run(gate, "always", async () => "done");
    gate.close();
    for (const call of [underWay, waiting, run(gate, "always", async () => "done")])
      await assert.rejects(call, { name: "KeyError", code: "ERR_KEY_UNKNOWN" });
  });

  it("tells what is under way at once that it is closed", async () => {
    const { gate } = makeGate();
    const signals: AbortSignal[] = [];
    const underWay = run(gate, "always", async (signal) => {
      signals.push(signal);
      return Promise.withResolvers<never>().promise;
    });
    await turn();
    gate.close();
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true],
    );
    await assert.rejects(underWay, { code: "ERR_KEY_UNKNOWN" });
  });

  it("ends who waits when it is closed, even behind a pause that does not end", async () => {
    const stuck = Promise.withResolvers<void>();
    const { gate } = makeGate({ maxConcurrent: 1 }, { wait: async () => stuck.promise });
    const paused = run(gate, "always", failing(9).call);
    await turn();
    const waiting = run(gate, "always", async () => "done");
    gate.close();
    await assert.rejects(waiting, { code: "ERR_KEY_UNKNOWN" });
    stuck.resolve();
    await assert.rejects(paused, { code: "ERR_KEY_UNKNOWN" });
  });

  it("ends a pause when it is closed", async () => {
    const { gate } = makeGate({}, { wait: waitForEver });
    const paused = run(gate, "always", failing(9).call);
    await turn();
    gate.close();
    await assert.rejects(paused, { code: "ERR_KEY_UNKNOWN" });
  });
});
