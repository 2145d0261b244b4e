import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { Secret, ServiceError } from "@redoubt/base";
import type { Answer, Call } from "./connection.ts";
import { RemoteError, WireError } from "./errors.ts";
import { Fixture, Gate, settle } from "./testing/fixture-socket.ts";
import { encodeFrame, FRAME_KIND, type Head } from "./frame.ts";

function echo({ op, head, attachment }: Call): Answer {
  return { head: { op, head }, attachment };
}

async function rejectsWith(promise: Promise<unknown>, code: string): Promise<WireError> {
  const error: unknown = await promise.then(
    () => assert.fail("was answered"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof WireError);
  assert.equal(error.code, code);
  return error;
}

function frame(kind: 1 | 2 | 3 | 4, id: number, head: Head = {}): Buffer {
  return encodeFrame(kind, id, head);
}

describe("SocketClient", () => {
  it("carries requests and attachments in both directions", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const greetings: unknown[] = [];
    const client = fixture.client({ onOpen: (greeting) => greetings.push({ ...greeting }) });
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 251));
    const reply = await client.request({ op: "x", n: 1 }, bytes);
    assert.deepEqual({ ...reply.head }, { op: "x", head: { n: 1 } });
    assert.deepEqual(reply.attachment, bytes);
    assert.deepEqual(greetings, [{ service: "signer", caller: "issuer", instance: "i1" }]);
    assert.equal(client.connected, true);
  });

  it("keeps many requests apart that are answered out of order", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    await fixture.serve(async (call) => {
      await gate.pass();
      return echo(call);
    });
    const client = fixture.client();
    const count = 500;
    const replies = Array.from({ length: count }, (_, n) => client.request({ op: "x", n }));
    await gate.until(count);
    assert.equal(client.inFlight, count);
    gate.waiting.reverse();
    gate.openAll();
    const heads = (await Promise.all(replies)).map(({ head }) => head["head"]);
    assert.deepEqual(
      heads,
      Array.from({ length: count }, (_, n) => ({ n })),
    );
    assert.equal(client.inFlight, 0);
  });

  it("waits for a service that starts later", async () => {
    await using fixture = new Fixture();
    const client = fixture.client();
    const reply = client.request({ op: "x" });
    await settle(3);
    await fixture.serve(echo);
    assert.equal((await reply).head["op"], "x");
  });

  it("comes back after the service was gone, and says how many requests were lost", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    const server = await fixture.serve(async (call) => {
      await gate.pass();
      return echo(call);
    });
    const lost: number[] = [];
    let opened = 0;
    const client = fixture.client({
      onClose: (count) => lost.push(count),
      onOpen: () => {
        opened += 1;
      },
    });
    const refused = [1, 2, 3].map(() =>
      rejectsWith(client.request({ op: "x" }), "ERR_WIRE_CLOSED"),
    );
    await gate.until(3);
    await server[Symbol.asyncDispose]();
    await Promise.all(refused);
    assert.deepEqual(lost, [3]);
    assert.equal(client.connected, false);
    await fixture.serve(echo);
    assert.equal((await client.request({ op: "again" })).head["op"], "again");
    assert.equal(opened, 2);
    gate.openAll();
  });

  it("gives up a request that is not answered in time, and ignores the late answer", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    await fixture.serve(async (call) => {
      if (call.op === "slow") await gate.pass();
      return echo(call);
    });
    const client = fixture.client({ timeoutMs: 500 });
    await rejectsWith(client.request({ op: "slow" }), "ERR_WIRE_TIMEOUT");
    assert.equal(client.heard, 1, "the greeting");
    gate.openAll();
    assert.equal((await client.request({ op: "quick" })).head["op"], "quick");
    assert.equal(client.inFlight, 0);
    assert.equal(client.heard, 3, "a late answer is a sign of life");
  });

  it("gives up waiting for a connection, and says why there is none", async () => {
    await using fixture = new Fixture();
    const options = { connectTimeoutMs: 400 };
    const absent = await rejectsWith(
      fixture.client(options).request({ op: "x" }),
      "ERR_WIRE_CLOSED",
    );
    assert.match(absent.message, /: ENOENT$/);
    await fixture.serve(echo);
    const secret = new Secret("w".repeat(43));
    const stranger = fixture.client({ ...options, secret });
    const refused = await rejectsWith(stranger.request({ op: "x" }), "ERR_WIRE_CLOSED");
    assert.match(refused.message, /: ERR_WIRE_HELLO$/);
    assert.equal(refused.message.includes(secret.reveal()), false);
  });

  it("refuses what would be too much, and keeps what is under way", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    await fixture.serve(async (call) => {
      await gate.pass();
      return { head: { op: call.op } };
    });
    const client = fixture.client({ maxInFlight: 2 });
    const first = [client.request({ op: "a" }), client.request({ op: "b" })];
    await gate.until(2);
    await rejectsWith(client.request({ op: "c" }), "ERR_WIRE_BUSY");
    gate.openAll();
    assert.equal((await Promise.all(first)).length, 2);
    await rejectsWith(client.request({ op: "d", x: "y".repeat(300_000) }), "ERR_WIRE_TOO_LARGE");
    assert.equal(client.inFlight, 0);
    const other = fixture.client();
    const large = Buffer.alloc(4 * 1024 * 1024 - 100);
    const many = Array.from({ length: 9 }, () => other.request({ op: "e" }, large));
    await rejectsWith(Promise.any(many.slice(8)).catch(firstReason), "ERR_WIRE_BUSY");
    gate.open();
    assert.equal((await Promise.all(many.slice(0, 8))).length, 8);
  });

  it("makes a coded error of a refusal, with its details", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => {
      throw new ServiceError("ERR_SIGNER_BUDGET", "Too many", {
        fields: { retryAfterSeconds: 3, tenant: "t" },
      });
    });
    await assert.rejects(fixture.client().request({ op: "x" }), (error) => {
      assert.ok(error instanceof RemoteError);
      assert.equal(error.code, "ERR_SIGNER_BUDGET");
      assert.equal(error.message, "Too many");
      assert.equal(error.retryAfterSeconds, 3);
      assert.deepEqual({ ...error.details }, { retryAfterSeconds: 3, tenant: "t" });
      return true;
    });
  });

  it("fails what waits when it is closed, and everything after", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    await fixture.serve(async (call) => {
      await gate.pass();
      return echo(call);
    });
    const client = fixture.client();
    const underWay = rejectsWith(client.request({ op: "x" }), "ERR_WIRE_CLOSED");
    await gate.until(1);
    await client[Symbol.asyncDispose]();
    await underWay;
    await rejectsWith(client.request({ op: "x" }), "ERR_WIRE_CLOSED");
    gate.openAll();

    const unconnected = fixture.client({ path: `${fixture.place.path}-absent` });
    const waiting = rejectsWith(unconnected.request({ op: "x" }), "ERR_WIRE_CLOSED");
    await unconnected[Symbol.asyncDispose]();
    await waiting;
  });
});

async function firstFailure(answer: (socket: Socket, id: number) => void): Promise<string> {
  await using fixture = new Fixture();
  await fixture.misbehave(answer);
  const client = fixture.client({ connectTimeoutMs: 400, timeoutMs: 20_000 });
  return (await rejectsWith(client.request({ op: "x" }), "ERR_WIRE_CLOSED")).message;
}

describe("a service that breaks the rules", () => {
  const { request, response, error, notice } = FRAME_KIND;

  it("is not talked to when it does not greet", async () => {
    assert.match(await firstFailure((s) => s.write(frame(response, 5))), /ERR_WIRE_HELLO$/);
    assert.match(await firstFailure((s) => s.write(frame(request, 0))), /ERR_WIRE_FRAME$/);
    assert.match(await firstFailure((s) => s.write("SSH-2.0\r\n")), /ERR_WIRE_TOO_LARGE$/);
    assert.match(
      await firstFailure((s) => s.write(frame(error, 0, { code: "not ours", message: 1 }))),
      /ERR_INTERNAL$/,
    );
  });

  for (const [what, bytes] of [
    ["a request", frame(request, 1)],
    ["a notice", frame(notice, 1)],
    ["an error about the connection", frame(error, 0, { code: "ERR_WIRE_FRAME" })],
    ["bytes that are no frame", Buffer.alloc(4)],
  ] as const)
    it(`is left after it sends ${what}`, async () => {
      const message = await firstFailure((socket, id) =>
        socket.write(id === 0 ? frame(response, 0) : bytes),
      );
      assert.equal(message, "Connection ended");
    });

  it("cannot answer what was not asked", async () => {
    await using fixture = new Fixture();
    await fixture.misbehave((socket, id) => {
      if (id !== 0) socket.write(frame(response, id + 1, { wrong: true }));
      socket.write(frame(response, id, { right: true }));
    });
    const { head } = await fixture.client().request({ op: "x" });
    assert.deepEqual({ ...head }, { right: true });
  });

  it("has its error texts bounded", async () => {
    await using fixture = new Fixture();
    await fixture.misbehave((socket, id) => {
      const long = { code: `ERR_${"X".repeat(100)}`, message: "m".repeat(100_000) };
      socket.write(id === 0 ? frame(response, 0) : frame(error, id, long));
    });
    await assert.rejects(fixture.client().request({ op: "x" }), (failure) => {
      assert.ok(failure instanceof RemoteError);
      assert.equal(failure.code, "ERR_INTERNAL");
      assert.equal(failure.message.length, 1024);
      return true;
    });
  });
});

function firstReason(error: unknown): never {
  throw error instanceof AggregateError ? error.errors[0] : error;
}
