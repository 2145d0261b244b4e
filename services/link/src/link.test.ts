import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, it } from "node:test";
import { until } from "@redoubt/testkit";
import { readSocketSecret, serveSocket, SocketClient } from "@redoubt/wire";
import { encodeFirstLine } from "./first-line.ts";
import { Machine, PAIR, TwoMachines } from "./testing/fixture-link.ts";

const LINE = encodeFirstLine(PAIR);
const LARGE = 32 * 1024 * 1024;

function call({ caller }: TwoMachines): Socket {
  return connect({ path: caller.place.path, allowHalfOpen: true });
}

/** Resolves once the other side has ended the connection, in whatever way. */
function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on("end", () => socket.end()).on("error", () => socket.destroy());
    socket.on("close", () => resolve()).resume();
  });
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}

function answer() {
  return { head: { size: 7 }, attachment: randomBytes(100_000) };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Resolves once this many connections are open at the service's link. */
async function counted(
  machines: TwoMachines,
  link: { status(): object },
  count: number,
): Promise<void> {
  await until(() => JSON.stringify(link.status()).includes(`"peers":{"caller":${count}}`));
  assert.ok(machines.port > 0);
}

describe("two links", () => {
  it("carry bytes both ways, and the end of each direction by itself", async () => {
    await using machines = new TwoMachines();
    await machines.service.serve(echo);
    await machines.openService();
    await machines.openCaller();
    for (const size of [0, 1, 100_000, LARGE]) {
      const sent = randomBytes(size);
      const socket = call(machines);
      socket.end(sent);
      const came = await buffer(socket);
      assert.equal(sha256(came), sha256(sent), String(size));
    }
  });

  it("let the service end first, and still read", async () => {
    await using machines = new TwoMachines();
    const heard: Promise<Buffer>[] = [];
    await machines.service.serve((socket) => {
      heard.push(buffer(socket));
      socket.end("bye");
    });
    await machines.openService();
    await machines.openCaller();
    const socket = call(machines);
    assert.equal((await buffer(socket)).toString(), "bye");
    socket.end("not yet");
    await once(socket, "close");
    assert.equal((await heard[0])?.toString(), "not yet");
  });

  it("THREAT-26: read only as fast as the other side takes it", async () => {
    await using machines = new TwoMachines();
    const served: Socket[] = [];
    await machines.service.serve((socket) => served.push(socket.pause()));
    await machines.openService();
    await machines.openCaller();
    const socket = call(machines);
    const sent = randomBytes(LARGE);
    let isTaken = false;
    socket.end(sent, () => (isTaken = true));
    await until(() => served.length === 1);
    // What the kernel and the streams on the way hold is much less.
    for (let turn = 0; turn < 500; turn += 1) await new Promise(setImmediate);
    assert.equal(isTaken, false);
    const [service] = served;
    assert.ok(service);
    assert.equal(sha256(await buffer(service)), sha256(sent));
    service.end();
  });

  it("carry many connections, with keys of either kind", async () => {
    await using machines = new TwoMachines();
    machines.service.pin("link", "ES256");
    await machines.service.serve(echo);
    const link = await machines.openService();
    await machines.openCaller();
    const answers = Array.from({ length: 32 }, async (_, index) => {
      const socket = call(machines);
      socket.end(`call ${index}`);
      return (await buffer(socket)).toString();
    });
    assert.deepEqual(
      await Promise.all(answers),
      Array.from({ length: 32 }, (_, index) => `call ${index}`),
    );
    await counted(machines, link, 0);
  });

  it("end a connection on both sides when either of them goes away", async () => {
    await using machines = new TwoMachines();
    const served: Socket[] = [];
    await machines.service.serve((socket) => served.push(socket.resume()));
    const link = await machines.openService();
    const callers = await machines.openCaller();
    const first = connect({ path: machines.caller.place.path }).resume();
    await until(() => served.length === 1);
    await link[Symbol.asyncDispose]();
    await Promise.all([once(first, "close"), until(() => served[0]?.readableEnded === true)]);
    await machines.openService();
    const second = connect({ path: machines.caller.place.path }).resume();
    await until(() => served.length === 2);
    await callers[Symbol.asyncDispose]();
    await Promise.all([once(second, "close"), until(() => served[1]?.readableEnded === true)]);
  });

  it("carry the wire protocol, whose client comes back after a link was away", async () => {
    await using machines = new TwoMachines();
    const { service, caller } = machines;
    const secret = readSocketSecret(service.place);
    writeFileSync(caller.place.secretFile, secret.reveal());
    const named = { ...PAIR, secret, instance: "i1", handler: answer, sink: service.sink };
    await using server = await serveSocket({ ...named, path: service.place.path });
    assert.ok(server);
    let link = await machines.openService();
    const callers = await machines.openCaller();
    await using client = new SocketClient({
      path: caller.place.path,
      secret: readSocketSecret(caller.place),
      maxRetryMs: 50,
    });
    const ask = async () => {
      const { head, attachment } = await client.request({ op: "size" });
      assert.deepEqual([head["size"], attachment.length], [7, 100_000]);
    };
    await ask();
    await link[Symbol.asyncDispose]();
    await until(() => !client.connected);
    await caller.events.first(
      ({ name, fields }) => name === "dial_failed" && fields["code"] === "ECONNREFUSED",
    );
    link = await machines.openService();
    await ask();
    await callers[Symbol.asyncDispose]();
    await until(() => !client.connected);
    await machines.openCaller();
    await ask();
    assert.deepEqual(
      service.events.all.filter(({ name }) => name !== "peer_connected"),
      [],
    );
  });

  it("give the service no caller without its secret", async () => {
    await using machines = new TwoMachines();
    const { service, caller } = machines;
    const secret = readSocketSecret(service.place);
    const named = {
      ...PAIR,
      secret,
      instance: "i1",
      handler: () => ({ head: {} }),
      sink: service.sink,
    };
    await using server = await serveSocket({ ...named, path: service.place.path });
    assert.ok(server);
    await machines.openService();
    await machines.openCaller();
    await using client = new SocketClient({
      path: caller.place.path,
      secret: readSocketSecret(caller.place),
      connectTimeoutMs: 200,
    });
    await assert.rejects(client.request({ op: "size" }), { code: "ERR_WIRE_CLOSED" });
    const { fields } = await service.events.first(({ name }) => name === "connection_refused");
    assert.equal(fields["code"], "ERR_WIRE_HELLO");
  });
});

describe("a link that is dialled", () => {
  it("serves a peer that says its line in pieces, with bytes right behind it", async () => {
    await using machines = new TwoMachines();
    await machines.service.serve(echo);
    await machines.openService();
    const { socket, closed } = machines.caller.dial(machines.port);
    const came = buffer(socket);
    socket.setNoDelay(true);
    for (const byte of LINE.slice(0, -1)) {
      socket.write(byte);
      await new Promise(setImmediate);
    }
    socket.end("\nhello\n");
    assert.equal((await came).toString(), "hello\n");
    await closed;
  });

  const wrongLines: Readonly<Record<string, readonly [string, string]>> = {
    "a service that it may not reach": [
      encodeFirstLine({ ...PAIR, service: "monitor" }),
      "ERR_LINK_PAIR",
    ],
    "another caller's socket": [encodeFirstLine({ ...PAIR, caller: "operator" }), "ERR_LINK_PAIR"],
    "a path": ["redoubt-link/1 ../ledger issuer\n", "ERR_LINK_LINE"],
    "another version": ["redoubt-link/2 ledger issuer\n", "ERR_LINK_LINE"],
    "a word too many": ["redoubt-link/1 ledger issuer x\n", "ERR_LINK_LINE"],
    nothing: ["\n", "ERR_LINK_LINE"],
    "a huge line": ["a".repeat(1_000_000), "ERR_LINK_LINE"],
    "a line one byte too long": [`${"a".repeat(145)}\n`, "ERR_LINK_LINE"],
  };
  for (const [what, [line, code]] of Object.entries(wrongLines))
    it(`refuses a peer that asks for ${what}, and says nothing to it`, async () => {
      await using machines = new TwoMachines();
      await machines.service.serve(() => assert.fail("reached"));
      await machines.openService();
      const peer = machines.caller.dial(machines.port);
      peer.socket.write(line);
      await peer.closed;
      assert.equal(peer.text, "");
      assert.deepEqual(
        machines.service.events.all.map(({ name, fields }) => [
          name,
          fields["peer"],
          fields["code"],
        ]),
        [["peer_refused", "caller", code]],
      );
    });

  it("THREAT-26: refuses a peer whose line does not come in time, or not at all", async () => {
    await using machines = new TwoMachines();
    await machines.openService({}, { firstLineMs: 50 });
    const slow = machines.caller.dial(machines.port);
    slow.socket.write(LINE.slice(0, -1));
    await slow.closed;
    const ended = machines.caller.dial(machines.port);
    await once(ended.socket, "secureConnect");
    ended.socket.end();
    await ended.closed;
    assert.deepEqual(
      machines.service.events.all.map(({ fields }) => fields["code"]),
      ["ERR_LINK_LINE", "ERR_LINK_LINE"],
    );
  });

  it("takes the longest names", async () => {
    await using machines = new TwoMachines();
    const pair = { service: "s".repeat(64), caller: "c".repeat(64) };
    await machines.openService({ services: [pair] });
    const peer = machines.caller.dial(machines.port);
    peer.socket.write(encodeFirstLine(pair));
    await peer.closed;
    const { name, fields } = machines.service.events.all[0] ?? assert.fail("no event");
    assert.deepEqual(
      [name, fields["service"], fields["code"]],
      ["service_failed", pair.service, "ENOENT"],
    );
  });

  it("closes the connection where the service is not there, or another stands at its place", async () => {
    await using machines = new TwoMachines();
    const { service, caller } = machines;
    await machines.openService();
    const first = caller.dial(machines.port);
    first.socket.write(LINE);
    await first.closed;
    rmSync(service.place.folder, { recursive: true });
    const elsewhere = createServer(() => assert.fail("reached"));
    writeFileSync(service.place.folder, "");
    const second = caller.dial(machines.port);
    second.socket.write(LINE);
    await second.closed;
    elsewhere.close();
    assert.deepEqual(
      service.events.all.map(({ name, fields }) => [name, fields["code"]]),
      [
        ["service_failed", "ENOENT"],
        ["service_failed", "ERR_FILE_KIND"],
      ],
    );
  });

  const strangers = {
    "with another key": [{}, "ERR_LINK_PEER"],
    "without a certificate": [{ key: undefined, cert: undefined }, "ERR_LINK_PEER"],
    "of TLS 1.2": [{ maxVersion: "TLSv1.2" }, "ERR_LINK_HANDSHAKE"],
  } as const;
  for (const [what, [options, code]] of Object.entries(strangers))
    it(`refuses a stranger ${what}`, async () => {
      await using machines = new TwoMachines();
      await using stranger = new Machine();
      await machines.service.serve(() => assert.fail("reached"));
      await machines.openService();
      const peer = stranger.dial(machines.port, options);
      peer.socket.write(LINE);
      await peer.closed;
      assert.equal(peer.text, "");
      assert.deepEqual(
        machines.service.events.all.map(({ name, fields }) => [name, fields["code"]]),
        [["stranger_refused", code]],
      );
    });

  it("refuses a session that is resumed: its key was proved another time", async () => {
    await using machines = new TwoMachines();
    await machines.service.serve(echo);
    await machines.openService();
    const first = machines.caller.dial(machines.port);
    const ticket = once(first.socket, "session");
    first.socket.write(LINE);
    const [session]: unknown[] = await ticket;
    assert.ok(Buffer.isBuffer(session));
    const second = machines.caller.dial(machines.port, { session });
    let isReused = false;
    second.socket.on("secureConnect", () => (isReused = second.socket.isSessionReused()));
    second.socket.write(LINE);
    await second.closed;
    assert.equal(isReused, true);
    const { fields } = await machines.service.events.first(
      ({ name }) => name === "stranger_refused",
    );
    assert.equal(fields["code"], "ERR_LINK_PEER");
  });

  it("THREAT-36: strangers share a bounded number of places, and keep no peer out", async () => {
    await using machines = new TwoMachines();
    await machines.service.serve(echo);
    await machines.openService({}, { maxUnproven: 4, handshakeMs: 60_000 });
    let closed = 0;
    const silent = Array.from({ length: 12 }, () => connect(machines.port, "127.0.0.1"));
    for (const socket of silent) void gone(socket).then(() => (closed += 1));
    await until(() => closed === 8);
    await machines.openCaller();
    const socket = call(machines);
    socket.end("hello");
    assert.equal((await buffer(socket)).toString(), "hello");
    await until(() => closed === 9);
    for (const one of silent) one.destroy();
  });

  it("THREAT-26: refuses a stranger who says nothing", async () => {
    await using machines = new TwoMachines();
    await machines.openService({}, { handshakeMs: 50 });
    await gone(connect(machines.port, "127.0.0.1"));
    const { name, fields } = machines.service.events.all[0] ?? assert.fail("no event");
    assert.deepEqual(
      [name, fields["code"], fields["reason"]],
      ["stranger_refused", "ERR_LINK_HANDSHAKE", "ERR_TLS_HANDSHAKE_TIMEOUT"],
    );
  });

  it("THREAT-36: one peer has a bounded number of connections, and gives them back", async () => {
    await using machines = new TwoMachines();
    await machines.service.serve(echo);
    const link = await machines.openService({}, { maxPerPeer: 2 });
    const open = [machines.caller.dial(machines.port), machines.caller.dial(machines.port)];
    for (const { socket } of open) socket.write(`${LINE}x`);
    await until(() => open.every(({ text }) => text === "x"));
    const third = machines.caller.dial(machines.port);
    third.socket.write(LINE);
    await third.closed;
    const { fields } = await machines.service.events.first(({ name }) => name === "peer_refused");
    assert.equal(fields["code"], "ERR_LINK_FULL");
    open[0]?.socket.destroy();
    await counted(machines, link, 1);
    const fourth = machines.caller.dial(machines.port);
    fourth.socket.write(`${LINE}y`);
    await until(() => fourth.text === "y");
  });

  it("outlives a peer that dies at any point", async () => {
    await using machines = new TwoMachines();
    const served: Socket[] = [];
    await machines.service.serve((socket) => served.push(socket.resume()));
    const link = await machines.openService();
    for (const said of ["", LINE.slice(0, 5), LINE, `${LINE}${"x".repeat(100_000)}`]) {
      const below = connect(machines.port, "127.0.0.1").on("error", () => below.destroy());
      const peer = machines.caller.dial(machines.port, { socket: below });
      await once(peer.socket, "secureConnect");
      peer.socket.write(said);
      await counted(machines, link, 1);
      const before = machines.service.events.all.length;
      const isThrough = said.startsWith(LINE);
      if (isThrough) await until(() => served.length > 0);
      below.resetAndDestroy();
      await counted(machines, link, 0);
      const service = served.pop();
      if (service) await until(() => service.readableEnded || service.destroyed);
      else await until(() => machines.service.events.all.length > before);
      assert.equal(service !== undefined, isThrough);
    }
  });

  it("takes the old pin and the new one while a peer changes its key, and then only the new one", async () => {
    await using machines = new TwoMachines();
    await using renewed = new Machine();
    await machines.service.serve(echo);
    const pins = [machines.caller.pin(), renewed.pin()];
    const both = await machines.openService({ pins });
    for (const machine of [machines.caller, renewed]) {
      const peer = machine.dial(machines.port);
      peer.socket.write(`${LINE}x`);
      await until(() => peer.text === "x");
    }
    await both[Symbol.asyncDispose]();
    await machines.openService({ pins: pins.slice(1) });
    const now = renewed.dial(machines.port);
    now.socket.write(`${LINE}x`);
    await until(() => now.text === "x");
    const old = machines.caller.dial(machines.port);
    old.socket.write(LINE);
    await old.closed;
    const { fields } = await machines.service.events.first(
      ({ name }) => name === "stranger_refused",
    );
    assert.deepEqual([fields["code"], fields["pin"]], ["ERR_LINK_PEER", pins[0]]);
  });
});

describe("a link that dials", () => {
  it("gives nothing to a machine with another key", async () => {
    await using machines = new TwoMachines();
    await using other = new Machine();
    await machines.service.serve(() => assert.fail("reached"));
    await machines.openService();
    await machines.openCaller({ pins: [other.pin()] });
    const socket = call(machines);
    socket.write("secret");
    await gone(socket);
    const { name, fields } = machines.caller.events.all[0] ?? assert.fail("no event");
    assert.deepEqual(
      [name, fields["code"], fields["pin"], fields["service"], fields["peer"]],
      ["dial_failed", "ERR_LINK_PEER", machines.service.pin(), PAIR.service, "service"],
    );
    const said = machines.service.events.all.map((event) => event.name);
    assert.equal(said.includes("peer_connected"), false);
  });

  it("takes either of two pins", async () => {
    await using machines = new TwoMachines();
    await using other = new Machine();
    await machines.service.serve(echo);
    await machines.openService();
    await machines.openCaller({ pins: [other.pin(), machines.service.pin()] });
    const socket = call(machines);
    socket.end("hello");
    assert.equal((await buffer(socket)).toString(), "hello");
  });

  it("gives up a machine that does not answer, and a caller that has left", async () => {
    await using machines = new TwoMachines();
    const silent = createServer();
    const accepted: Socket[] = [];
    silent.on("connection", (socket: Socket) =>
      accepted.push(socket.on("error", () => socket.destroy()).resume()),
    );
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    machines.port = typeof address === "object" && address ? address.port : 0;
    await machines.openCaller({}, { handshakeMs: 100 });
    const socket = call(machines);
    await gone(socket);
    const { fields } = await machines.caller.events.first(({ name }) => name === "dial_failed");
    assert.equal(fields["code"], "ERR_LINK_HANDSHAKE");
    for (const one of accepted) one.destroy();
    silent.close();
    await once(silent, "close");
  });

  it("THREAT-36: takes a bounded number of connections of one caller", async () => {
    await using machines = new TwoMachines();
    await machines.service.serve(echo);
    await machines.openService();
    await machines.openCaller({}, { maxPerSocket: 1 });
    const first = call(machines);
    first.write("x");
    await once(first, "data");
    await gone(call(machines));
    const { fields } = await machines.caller.events.first(({ name }) => name === "dial_failed");
    assert.equal(fields["code"], "ERR_LINK_FULL");
    first.destroy();
  });
});

describe("a link does not start", () => {
  it("with a peer that has its own key", async () => {
    await using machine = new Machine();
    const peers = [{ name: "b", pins: [machine.pin()], services: [] }];
    await assert.rejects(machine.open({ peers }), { code: "ERR_LINK_KEY" });
  });

  it("at an address that is taken, nor without the folder of a caller", async () => {
    await using machines = new TwoMachines();
    await machines.openService();
    await assert.rejects(machines.openService(), { code: "EADDRINUSE" });
    await machines.service.events.first(({ name }) => name === "listener_failed");
    rmSync(join(machines.caller.root, PAIR.service), { recursive: true });
    await assert.rejects(machines.openCaller(), { code: "ENOENT" });
  });
});
