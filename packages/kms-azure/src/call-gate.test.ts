import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeyError } from "@redoubt/keys";
import {
  AttemptTimeout,
  CallGate,
  DEFAULT_LIMITS,
  type CallLimits,
  type Verdict,
} from "./call-gate.ts";

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

/** A gate whose pauses take no time and are written down. */
function makeGate(limits: Partial<CallLimits> = {}, random = () => 1) {
  const pauses: number[] = [];
  let now = 0;
  const parts = {
    clock: { monotonic: () => now },
    random,
    wait: async (ms: number) => {
      pauses.push(ms);
      now += ms;
    },
  };
  const gate = new CallGate({ ...DEFAULT_LIMITS, ...limits }, parts, judge);
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
    assert.equal(await gate.run("always", async () => "done"), "done");
    assert.deepEqual(pauses, []);
  });

  it("tries a throttled call again, each time after up to twice as long", async () => {
    const { gate, pauses } = makeGate();
    assert.equal(await gate.run("always", failing(3).call), "done");
    assert.deepEqual(pauses, [100, 200, 400]);
    const half = makeGate({}, () => 0.5);
    assert.equal(await half.gate.run("always", failing(2).call), "done");
    assert.deepEqual(half.pauses, [50, 100]);
  });

  it("gives up after the last attempt, and says when to come back", async () => {
    const { gate } = makeGate();
    const { tries, call } = failing(4);
    await assert.rejects(gate.run("always", call), isBusy(1));
    assert.equal(tries.count, 4);
  });

  it("waits as long as the service asks, or tells the caller to", async () => {
    const { gate, pauses } = makeGate();
    assert.equal(await gate.run("always", failing(1, () => new Throttled(3000)).call), "done");
    assert.deepEqual(pauses, [3000]);
    const { tries, call } = failing(1, () => new Throttled(15_001));
    await assert.rejects(gate.run("always", call), isBusy(16));
    assert.equal(tries.count, 1);
  });

  it("does not pause past the end of its patience", async () => {
    const { gate } = makeGate({ callTimeoutMs: 300 });
    const { tries, call } = failing(3);
    await assert.rejects(gate.run("always", call), isBusy(1));
    assert.equal(tries.count, 2);
  });

  it("fails at once for what no repetition can change", async () => {
    const { gate } = makeGate();
    const { tries, call } = failing(9, () => new Error("no"));
    await assert.rejects(gate.run("always", call), { code: "ERR_KEY_CUSTODY" });
    assert.equal(tries.count, 1);
  });

  it("repeats what must not happen twice only where it did not happen", async () => {
    const { gate } = makeGate();
    assert.equal(await gate.run("if-refused", failing(2).call), "done");
    const { tries, call } = failing(1, () => new AttemptTimeout());
    await assert.rejects(gate.run("if-refused", call), isBusy(1));
    assert.equal(tries.count, 1);
    assert.equal(await gate.run("always", failing(1, () => new AttemptTimeout()).call), "done");
  });

  it("ends an attempt on time, whether or not it heeds its signal", async () => {
    const { gate } = makeGate({ attemptTimeoutMs: 1, maxAttempts: 2 });
    const signals: AbortSignal[] = [];
    const never = async (signal: AbortSignal): Promise<never> => {
      signals.push(signal);
      return Promise.withResolvers<never>().promise;
    };
    await assert.rejects(gate.run("always", never), isBusy(1));
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, true],
    );
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
    const runs = Array.from({ length: 5 }, async () => gate.run("always", calls.call));
    await assert.rejects(gate.run("always", calls.call), isBusy(4));
    await turn();
    assert.deepEqual([calls.atOnce, calls.ends.length], [2, 2]);
    for (let ended = 0; ended < 5; ended++) {
      calls.ends[ended]?.();
      await turn();
    }
    await Promise.all(runs);
    assert.deepEqual([calls.ends.length, calls.most], [5, 2]);
    const last = gate.run("always", calls.call);
    await turn();
    calls.ends[5]?.();
    await last;
  });

  it("hands a place on, rather than to somebody who just came", async () => {
    const { gate } = makeGate({ maxConcurrent: 1 });
    const calls = new OpenCalls();
    const first = gate.run("always", calls.call);
    const second = gate.run("always", calls.call);
    await turn();
    calls.ends[0]?.();
    const third = first.then(async () => gate.run("always", calls.call));
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
    const first = gate.run("always", calls.call);
    const second = gate.run("always", calls.call);
    await turn();
    pass(1000);
    calls.ends[0]?.();
    await first;
    await assert.rejects(second, isBusy(4));
    assert.equal(calls.ends.length, 1);
  });

  it("gives its place back after a failure", async () => {
    const { gate } = makeGate({ maxConcurrent: 1, maxWaiting: 1 });
    await assert.rejects(gate.run("always", failing(9).call), isBusy(1));
    assert.equal(await gate.run("always", async () => "done"), "done");
  });

  it("ends everything when it is closed: under way, waiting and to come", async () => {
    const { gate } = makeGate({ maxConcurrent: 1 });
    const underWay = gate.run("always", async () => Promise.withResolvers<never>().promise);
    const waiting = gate.run("always", async () => "done");
    gate.close();
    for (const run of [underWay, waiting, gate.run("always", async () => "done")])
      await assert.rejects(run, { name: "KeyError", code: "ERR_KEY_UNKNOWN" });
  });

  it("ends a pause when it is closed", async () => {
    const parts = { clock: { monotonic: () => 0 }, random: () => 1, wait: waitForEver };
    const gate = new CallGate(DEFAULT_LIMITS, parts, judge);
    const run = gate.run("always", failing(9).call);
    await turn();
    gate.close();
    await assert.rejects(run, { code: "ERR_KEY_UNKNOWN" });
  });
});
