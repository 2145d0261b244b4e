import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  linkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import type { Answer, Call } from "./connection.ts";
import { Fixture, Gate, settle, type RawPeer } from "./testing/fixture-socket.ts";
import { FRAME_KIND, type Head } from "./frame.ts";

const { request, notice, response, error } = FRAME_KIND;

function echo({ caller, op, head, attachment }: Call): Answer {
  return { head: { caller, op, head }, attachment };
}

async function assertRefused(peer: RawPeer, code: string): Promise<void> {
  const frame = await peer.frame();
  assert.deepEqual(
    [frame?.kind, frame?.id, { ...frame?.head }],
    [error, 0, { code, message: "Connection refused" }],
  );
  assert.equal(await peer.frame(), undefined);
}

describe("serveSocket", () => {
  it("greets, then answers requests with the caller of its socket", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const peer = await fixture.peer({ greet: false });
    peer.send(request, 3, { op: "hello", v: 1, secret: fixture.secret.reveal() });
    const greeting = await peer.frame();
    assert.deepEqual([greeting?.kind, greeting?.id], [response, 3]);
    assert.deepEqual(
      { ...greeting?.head },
      { service: "signer", caller: "issuer", instance: "i1" },
    );
    peer.send(request, 9, { op: "x", caller: "operator", n: 1 }, Buffer.of(1, 2));
    const answer = await peer.frame();
    assert.deepEqual([answer?.kind, answer?.id], [response, 9]);
    assert.deepEqual(answer?.head["head"], { caller: "operator", n: 1 });
    assert.equal(answer?.head["caller"], "issuer");
    assert.deepEqual(answer?.attachment, Buffer.of(1, 2));
  });

  const greetings: readonly (readonly [string, 1 | 2 | 3 | 4, (secret: string) => Head])[] = [
    ["a wrong secret", request, () => ({ op: "hello", v: 1, secret: "x".repeat(43) })],
    ["no secret", request, () => ({ op: "hello", v: 1 })],
    ["an empty secret", request, () => ({ op: "hello", v: 1, secret: "" })],
    ["a secret of another type", request, () => ({ op: "hello", v: 1, secret: 5 })],
    ["another version", request, (secret) => ({ op: "hello", v: 2, secret })],
    ["another op", request, (secret) => ({ op: "issue", v: 1, secret })],
    ["an unknown member", request, (secret) => ({ op: "hello", v: 1, secret, caller: "operator" })],
    ["a notice", notice, (secret) => ({ op: "hello", v: 1, secret })],
    ["a response", response, (secret) => ({ op: "hello", v: 1, secret })],
    ["a request before it", request, () => ({ op: "issue" })],
    ["a notice before it", notice, () => ({ op: "event" })],
  ];
  for (const [what, kind, head] of greetings)
    it(`refuses ${what} in the greeting, in one way, and never calls the handler`, async () => {
      await using fixture = new Fixture();
      let calls = 0;
      await fixture.serve((call) => {
        calls += 1;
        return echo(call);
      });
      const peer = await fixture.peer({ greet: false });
      peer.send(kind, 1, head(fixture.secret.reveal()));
      peer.send(request, 2, { op: "issue" });
      await assertRefused(peer, "ERR_WIRE_HELLO");
      assert.equal(calls, 0);
      assert.deepEqual(fixture.events, [
        { name: "connection_refused", fields: { caller: "issuer", code: "ERR_WIRE_HELLO" } },
      ]);
    });

  it("THREAT-32: refuses the secret of another caller's folder", async () => {
    await using issuer = new Fixture("issuer");
    await using operator = new Fixture("operator");
    await issuer.serve(echo);
    await operator.serve(echo, { caller: "operator" });
    const peer = await operator.peer({ greet: false });
    peer.send(request, 0, { op: "hello", v: 1, secret: issuer.secret.reveal() });
    await assertRefused(peer, "ERR_WIRE_HELLO");
  });

  it("gives up a connection that does not greet in time", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { helloTimeoutMs: 10 });
    await assertRefused(await fixture.peer({ greet: false }), "ERR_WIRE_HELLO");
  });

  const hostile: readonly (readonly [string, (peer: RawPeer) => void, string])[] = [
    ["bytes that are no frame", (p) => p.socket.write("GET / HTTP/1.1\r\n"), "ERR_WIRE_TOO_LARGE"],
    ["a frame of length 0", (p) => p.socket.write(Buffer.alloc(4)), "ERR_WIRE_FRAME"],
    ["a response", (p) => p.send(response, 1, {}), "ERR_WIRE_FRAME"],
    ["an error", (p) => p.send(error, 1, {}), "ERR_WIRE_FRAME"],
    [
      "an unknown kind",
      (p) => p.socket.write(Buffer.of(0, 0, 0, 9, 9, 0, 0, 0, 1, 0, 0, 0, 0)),
      "ERR_WIRE_FRAME",
    ],
    [
      "a frame over the bound of the socket",
      (p) => p.send(request, 1, { op: "x" }, Buffer.alloc(2000)),
      "ERR_WIRE_TOO_LARGE",
    ],
  ];
  for (const [what, attack, code] of hostile)
    it(`closes the connection after ${what}`, async () => {
      await using fixture = new Fixture();
      await fixture.serve(echo, { maxFrameBytes: 1000 });
      const peer = await fixture.peer();
      attack(peer);
      await assertRefused(peer, code);
    });

  it("closes the connection at an id that is in use, and takes it again once it is answered", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    await fixture.serve(async (call) => {
      await gate.pass();
      return echo(call);
    });
    const peer = await fixture.peer();
    for (let round = 0; round < 2; round += 1) {
      peer.send(request, 5, { op: "x" });
      await gate.until(1);
      gate.openAll();
      assert.equal((await peer.frame())?.id, 5);
    }
    peer.send(request, 5, { op: "x" });
    peer.send(request, 5, { op: "x" });
    await assertRefused(peer, "ERR_WIRE_FRAME");
    gate.openAll();
  });

  it("THREAT-04: refuses a request without an op, tells the service, and goes on", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const peer = await fixture.peer();
    const heads: readonly Head[] = [{}, { op: 1 }, { op: "" }, { op: null }, { op: ["x"] }];
    for (const head of heads) {
      peer.send(request, 1, head);
      assert.equal((await peer.frame())?.head["code"], "ERR_WIRE_FRAME");
    }
    peer.send(notice, 0, {});
    peer.send(request, 1, { op: "x" });
    assert.equal((await peer.frame())?.kind, response);
    const refused = {
      name: "request_refused",
      fields: { caller: "issuer", code: "ERR_WIRE_FRAME" },
    };
    assert.deepEqual(
      fixture.events,
      Array.from({ length: heads.length + 1 }, () => refused),
    );
  });

  it("hands notices to the handler and answers none, not even one that fails", async () => {
    await using fixture = new Fixture();
    const seen: string[] = [];
    await fixture.serve((call) => {
      seen.push(call.op);
      if (call.op === "bad") throw new ServiceError("ERR_TEST", "no");
      return echo(call);
    });
    const peer = await fixture.peer();
    peer.send(notice, 0, { op: "good" });
    peer.send(notice, 0, { op: "bad" });
    peer.send(request, 8, { op: "last" });
    assert.equal((await peer.frame())?.id, 8);
    assert.deepEqual(seen, ["good", "bad", "last"]);
  });
});

describe("THREAT-26: a connection", () => {
  for (const kind of [request, notice] as const)
    it(`is not read past the bound on ${kind === request ? "requests" : "notices"} under way, and then read on`, async () => {
      await using fixture = new Fixture();
      const gate = new Gate();
      let calls = 0;
      await fixture.serve(
        async (call) => {
          calls += 1;
          await gate.pass();
          return echo(call);
        },
        { maxInFlight: 2 },
      );
      const peer = await fixture.peer();
      // In one chunk, of which only a part is taken.
      peer.socket.cork();
      for (const id of [1, 2, 3]) peer.send(kind, id, { op: "x" });
      peer.socket.uncork();
      await gate.until(2);
      await settle();
      assert.equal(calls, 2);
      gate.openAll();
      await gate.until(1);
      assert.equal(calls, 3);
      gate.openAll();
    });

  it("is not read while its attachments under way fill 16 MiB", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    await fixture.serve(async ({ op }) => {
      await gate.pass();
      return { head: { op } };
    });
    const peer = await fixture.peer();
    const large = Buffer.alloc(4 * 1024 * 1024 - 100);
    for (let id = 1; id <= 8; id += 1) peer.send(request, id, { op: "x" }, large);
    await gate.until(5);
    await settle(100);
    assert.equal(gate.waiting.length, 5);
    gate.open();
    for (let answered = 0; answered < 8; answered += 1)
      assert.equal((await peer.frame())?.kind, response);
  });

  it("is not read while its peer takes no answers, and loses none of them", async () => {
    await using fixture = new Fixture();
    let calls = 0;
    const started = new Gate();
    const body = Buffer.alloc(1024 * 1024);
    const handler = (): Answer => {
      calls += 1;
      void started.pass();
      return { head: {}, attachment: body };
    };
    await fixture.serve(handler, { maxInFlight: 4 });
    const peer = await fixture.peer();
    peer.socket.pause();
    for (let id = 1; id <= 100; id += 1) peer.send(request, id, { op: "x" });
    await started.until(4);
    await settle(100);
    assert.ok(calls >= 4 && calls <= 12, String(calls));
    peer.socket.resume();
    for (let id = 1; id <= 100; id += 1) {
      const frame = await peer.frame();
      assert.deepEqual([frame?.id, frame?.attachment.length], [id, body.length]);
    }
  });

  it("is given up when answers that come at once fill 32 MiB", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    await fixture.serve(async () => {
      await gate.pass();
      return { head: {}, attachment: Buffer.alloc(4 * 1024 * 1024 - 100) };
    });
    const peer = await fixture.peer();
    peer.socket.pause();
    for (let id = 1; id <= 12; id += 1) peer.send(request, id, { op: "x" });
    await gate.until(12);
    gate.openAll();
    peer.socket.resume();
    await peer.closed();
  });

  it("ends although its peer reads nothing", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => ({ head: {}, attachment: Buffer.alloc(3 * 1024 * 1024) }));
    const peer = await fixture.peer();
    peer.socket.pause();
    peer.send(request, 1, { op: "x" });
    await settle();
    peer.socket.write(Buffer.alloc(4));
    // The error frame cannot be sent. That the server lets go all the same, only a write finds out.
    const probe = setInterval(() => peer.socket.write(Buffer.alloc(1)), 20);
    try {
      await peer.closed();
    } finally {
      clearInterval(probe);
    }
    assert.equal(fixture.events[0]?.fields["code"], "ERR_WIRE_FRAME");
  });
});

async function errorFor(thrown: () => unknown): Promise<{ head: unknown; events: unknown }> {
  await using fixture = new Fixture();
  await fixture.serve(() => {
    throw thrown();
  });
  const peer = await fixture.peer();
  peer.send(request, 1, { op: "x" });
  const frame = await peer.frame();
  assert.deepEqual([frame?.kind, frame?.id], [error, 1]);
  return { head: { ...frame?.head }, events: fixture.events };
}

class OwnError extends Error {
  override readonly name = "OwnError";
  readonly code = "ERR_OWN_CODE";
}

describe("an error answer", () => {
  it("carries code, message and fields of an error of ours", async () => {
    const { head, events } = await errorFor(
      () =>
        new ServiceError("ERR_LEDGER_SIZE", "Log moved", { fields: { size: 7, code: "ERR_X" } }),
    );
    assert.deepEqual(head, { code: "ERR_LEDGER_SIZE", message: "Log moved", size: 7 });
    assert.deepEqual(events, []);
    assert.deepEqual((await errorFor(() => new OwnError("Refused"))).head, {
      code: "ERR_OWN_CODE",
      message: "Refused",
    });
    // A library's error says when to ask again as a member of its own; nothing else of it leaves.
    const busy = Object.assign(new OwnError("Busy"), { retryAfterSeconds: 1.2, secret: "x" });
    assert.deepEqual((await errorFor(() => busy)).head, {
      code: "ERR_OWN_CODE",
      message: "Busy",
      retryAfterSeconds: 2,
    });
    for (const retryAfterSeconds of [-1, Number.NaN, Infinity, "2"]) {
      const odd = Object.assign(new OwnError("Busy"), { retryAfterSeconds });
      assert.deepEqual((await errorFor(() => odd)).head, {
        code: "ERR_OWN_CODE",
        message: "Busy",
      });
    }
  });

  const internal: readonly (readonly [string, () => unknown])[] = [
    ["an Error", () => new Error("at /secret/path")],
    ["a TypeError of Node", () => Object.assign(new TypeError("/secret"), { code: "ERR_INVALID" })],
    ["a system error", () => Object.assign(new Error("/secret"), { code: "ENOENT" })],
    ["a failed assertion", () => new assert.AssertionError({ message: "/secret" })],
    [
      "an own class with a foreign code",
      () => Object.assign(new OwnError("/secret"), { code: "sql: /secret" }),
    ],
    ["a text", () => "/secret"],
    ["undefined", () => undefined],
    ["fields that cannot be written", () => new ServiceError("ERR_X", "x", { fields: { n: 1n } })],
    [
      "fields that do not fit",
      () => new ServiceError("ERR_X", "x", { fields: { s: "x".repeat(300_000) } }),
    ],
  ];
  for (const [what, thrown] of internal)
    it(`says nothing for ${what}`, async () => {
      const { head, events } = await errorFor(thrown);
      assert.deepEqual(head, { code: "ERR_INTERNAL", message: "Internal error" });
      assert.ok(Array.isArray(events) && events.length === 1);
    });

  it("is sent when the answer itself does not fit", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => ({ head: {}, attachment: Buffer.alloc(5 * 1024 * 1024) }));
    const peer = await fixture.peer();
    peer.send(request, 1, { op: "x" });
    assert.equal((await peer.frame())?.head["code"], "ERR_WIRE_TOO_LARGE");
  });
});

describe("THREAT-32: the place of a socket", () => {
  it("is closed to others while it listens, and empty after", async () => {
    await using fixture = new Fixture();
    const server = await fixture.serve(echo);
    assert.equal(statSync(fixture.place.path).mode & 0o777, 0o600);
    await server[Symbol.asyncDispose]();
    assert.equal(existsSync(fixture.place.path), false);
  });

  it("is taken over from an earlier run that was killed", async () => {
    await using fixture = new Fixture();
    // A socket file without a listener: what is left when nobody could clean up.
    const dead = createServer();
    await new Promise<void>((resolve) => {
      dead.listen(join(fixture.place.folder, "dead"), resolve);
    });
    linkSync(join(fixture.place.folder, "dead"), fixture.place.path);
    dead.close();
    await fixture.serve(echo);
    assert.equal(fixture.client().connected, false);
  });

  it("is refused in a folder that others can enter, and where something else stands", async () => {
    await using fixture = new Fixture();
    const { folder, path } = fixture.place;
    chmodSync(folder, 0o750);
    await assert.rejects(fixture.serve(echo), { code: "ERR_FILE_MODE" });
    chmodSync(folder, 0o700);
    writeFileSync(path, "precious");
    await assert.rejects(fixture.serve(echo), { code: "ERR_SOCKET_PATH" });
    assert.equal(existsSync(path), true);
    rmSync(path);
    symlinkSync("elsewhere", path);
    await assert.rejects(fixture.serve(echo), { code: "ERR_SOCKET_PATH" });
  });

  it("is at most 107 bytes long", async () => {
    await using fixture = new Fixture();
    const { folder } = fixture.place;
    const longest = join(folder, "s".repeat(107 - Buffer.byteLength(folder) - 1));
    await fixture.serve(echo, { path: longest });
    await assert.rejects(fixture.serve(echo, { path: `${longest}s` }), { code: "ERR_SOCKET_PATH" });
  });

  it("holds no more connections than it should", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { maxConnections: 1 });
    await fixture.peer();
    const second = await fixture.peer({ greet: false });
    assert.equal(await second.frame(), undefined);
  });
});

describe("the end of a socket", () => {
  it("answers what is under way, refuses what comes, lets nobody in, and ends", async () => {
    await using fixture = new Fixture();
    const gate = new Gate();
    const server = await fixture.serve(async (call) => {
      await gate.pass();
      return echo(call);
    });
    const peer = await fixture.peer();
    const idle = await fixture.peer();
    const silent = await fixture.peer({ greet: false });
    peer.send(request, 1, { op: "first" });
    await gate.until(1);
    const ended = server[Symbol.asyncDispose]();
    await Promise.all([idle.closed(), silent.closed()]);
    peer.send(request, 2, { op: "second" });
    peer.send(notice, 0, { op: "third" });
    const refused = await peer.frame();
    assert.deepEqual([refused?.kind, refused?.id], [error, 2]);
    assert.deepEqual(
      { ...refused?.head },
      { code: "ERR_WIRE_STOPPING", message: "Service is stopping", retryAfterSeconds: 1 },
    );
    const late = await fixture.peer({ greet: false });
    await late.closed();
    gate.open();
    const answer = await peer.frame();
    assert.deepEqual([answer?.kind, answer?.id], [response, 1]);
    await peer.closed();
    await ended;
  });

  it("a large answer leaves whole", async () => {
    await using fixture = new Fixture();
    const bytes = Buffer.alloc(3 * 1024 * 1024, 7);
    const server = await fixture.serve(() => ({ head: {}, attachment: bytes }));
    const client = fixture.client();
    const asked = client.request({ op: "large" });
    await settle();
    await server[Symbol.asyncDispose]();
    assert.deepEqual((await asked).attachment, bytes);
  });

  it("is not held up for longer than its grace", async () => {
    await using fixture = new Fixture();
    const server = await fixture.serve(() => new Promise(() => undefined), { graceMs: 30 });
    const client = fixture.client();
    const asked = client.request({ op: "never" });
    await settle();
    await Promise.all([
      assert.rejects(asked, { code: "ERR_WIRE_CLOSED" }),
      server[Symbol.asyncDispose](),
    ]);
  });
});
