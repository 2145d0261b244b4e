import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SessionPool } from "./session-pool.ts";

const slot = Buffer.alloc(8);
const busy = (message: RegExp) => ({ name: "KeyError", code: "ERR_KEY_BUSY", message });

/** A pool over a module that only counts its sessions. */
function poolOf(sessions: number, timeoutMs = 10_000) {
  const open = new Set<number>();
  let next = 0;
  const cryptoki = {
    C_OpenSession: () => {
      next += 1;
      open.add(next);
      return Buffer.from([next]);
    },
    C_CloseSession: (session: Buffer) => assert.equal(open.delete(session[0] ?? 0), true),
  };
  const module = { cryptoki, during: async <T>(call: Promise<T>) => call };
  return { open, pool: new SessionPool({ module, sessions, timeoutMs }) };
}

/** A call that ends when it is told to. */
function callOf() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { run: async () => promise, resolve, reject };
}

describe("a pool of sessions", () => {
  it("gives each to one call at a time, the next to whoever waits longest", async () => {
    const { open, pool } = poolOf(2);
    const calls = [callOf(), callOf(), callOf()];
    const order: string[] = [];
    const results = calls.map(async ({ run }) => order.push(await pool.use(slot, run)));
    await new Promise(setImmediate);
    assert.equal(open.size, 2);
    calls[2]?.resolve("third");
    await new Promise(setImmediate);
    // It was not begun: both sessions are taken.
    assert.deepEqual(order, []);
    calls[1]?.resolve("second");
    calls[0]?.resolve("first");
    await Promise.all(results);
    assert.deepEqual(new Set(order), new Set(["first", "second", "third"]));
    assert.equal(open.size, 2);
    await pool.close();
    pool.drop(false);
    assert.equal(open.size, 0);
  });

  it("does not use a session again that a call failed in, or that was dropped meanwhile", async () => {
    const { open, pool } = poolOf(1);
    await assert.rejects(
      pool.use(slot, async () => assert.fail("CKR_DEVICE_ERROR")),
      /DEVICE/,
    );
    assert.equal(open.size, 0);
    const call = callOf();
    const used = pool.use(slot, call.run);
    await new Promise(setImmediate);
    pool.drop(false);
    call.resolve("done");
    assert.equal(await used, "done");
    assert.equal(open.size, 0);
  });

  it("forgets without closing where the numbers are somebody else's by now", async () => {
    const { open, pool } = poolOf(1);
    await pool.use(slot, async () => "done");
    pool.drop(true);
    assert.equal(open.size, 1);
    await pool.use(slot, async () => "done");
    assert.equal(open.size, 2);
  });

  it("P12: lets 4096 wait and refuses one more at once", async () => {
    const { pool } = poolOf(1);
    const call = callOf();
    const waiting = Array.from({ length: 4097 }, async () => pool.use(slot, call.run));
    await assert.rejects(pool.use(slot, call.run), busy(/Too many/));
    call.resolve("done");
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set(["done"]));
  });

  it("gives up a call that hangs and one that waits, and takes the session back at its end", async () => {
    const { pool } = poolOf(1, 30);
    const hung = callOf();
    await Promise.all(
      [hung, callOf()].map(async ({ run }) => assert.rejects(pool.use(slot, run), busy(/in time/))),
    );
    // It ends after all: its place is free again.
    hung.resolve("late");
    await new Promise(setImmediate);
    assert.equal(await pool.use(slot, async () => "done"), "done");
  });

  it("refuses what waits when it is closed, and waits for what is under way", async () => {
    const { open, pool } = poolOf(1);
    const call = callOf();
    const under = pool.use(slot, call.run);
    const waits = assert.rejects(pool.use(slot, call.run), busy(/closed/));
    await new Promise(setImmediate);
    let isClosed = false;
    const closing = pool.close().then(() => (isClosed = true));
    await waits;
    assert.equal(isClosed, false);
    call.resolve("done");
    assert.equal(await under, "done");
    await closing;
    assert.equal(open.size, 0);
    await assert.rejects(pool.use(slot, call.run), busy(/closed/));
  });
});
