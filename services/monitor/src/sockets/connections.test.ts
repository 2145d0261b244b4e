import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { issue, signedAs } from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";

const HALF_SPOKEN = "POST /reports HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n";
/** Longer times, so that a slow machine closes nothing by them. */
const PATIENT = {
  headersTimeoutMs: 60_000,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  calmMs: 300,
};

function report(seq: number): string {
  const session = encodeBase64url(Buffer.alloc(16, 1));
  return JSON.stringify({ v: 1, session, seq, items: [] });
}

async function open(): Promise<MonitorWorld> {
  return MonitorWorld.open({}, (world) => {
    world.httpLimits = PATIENT;
    world.deployment.addReporter("shop", "secret of shop");
  });
}

async function strangers(port: number, count: number, bytes: string): Promise<Disposable> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => undefined);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await once(socket, "connect");
    socket.write(bytes);
    sockets.push(socket);
  }
  return {
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Over the agent's only connection; the sender's port tells which connection that was. */
async function send(
  world: MonitorWorld,
  agent: Agent,
  path: string,
  body: string,
): Promise<{ readonly status: number; readonly localPort: number }> {
  const { port } = world.monitor;
  const headers = signedAs("shop", path, body, world.clock.now());
  const how = { host: "127.0.0.1", port, path, agent, method: "POST", headers };
  const request = httpRequest(how);
  const answered = once(request, "response");
  request.end(body);
  const [response] = await answered;
  const { localPort } = response.socket;
  response.resume();
  await once(response, "end");
  return { status: response.statusCode, localPort };
}

function keeping(): Agent & Disposable {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() });
}

describe("THREAT-36: connections of strangers", () => {
  it("256 silent and 256 half-spoken ones hold up no report, no checkpoint and no look at health", async () => {
    await using world = await open();
    const { port } = world.monitor;
    const { log } = world.deployment.enterprise;
    using reporter = keeping();
    using ledger = keeping();
    issue(log);
    const reported = await send(world, reporter, "/reports", report(1));
    const growth = await send(world, ledger, "/add-checkpoint", `old 0\n\n${log.note()}`);
    assert.deepEqual([reported.status, growth.status], [200, 200]);
    {
      using flood = new DisposableStack();
      flood.use(await strangers(port, 256, ""));
      flood.use(await strangers(port, 256, HALF_SPOKEN));
      assert.equal((await world.post("/health", "", {}, "GET")).status, 200);
      assert.equal((await world.postAs("shop", "/reports", report(2))).status, 200);
      issue(log);
      const proof = log.proveGrowth(1).map((node) => `${node.toString("base64")}\n`);
      const note = `old 1\n${proof.join("")}\n${log.note()}`;
      assert.equal((await world.post("/add-checkpoint", note)).status, 200);
      // Far more of them do not reach the connections of those who have proven something.
      flood.use(await strangers(port, 600, ""));
      assert.deepEqual(await send(world, reporter, "/reports", report(3)), reported);
      const again = await send(world, ledger, "/add-checkpoint", note);
      assert.deepEqual([again.status, again.localPort], [409, growth.localPort]);
      await world.tick();
      const [alarm, ...others] = await world.alarms("connections-full");
      assert.deepEqual(
        [alarm?.["severity"], alarm?.["closed"], others],
        ["warning", undefined, []],
      );
    }
    while (!world.events.some(({ name }) => name === "connections_free"))
      await new Promise(setImmediate);
    await world.tick();
    const [alarm] = await world.alarms("connections-full");
    assert.equal(alarm?.["closed"], "recovered");
  });

  it("a checkpoint that is public already keeps no connection, nor does a wrong credential", async () => {
    await using world = await open();
    const { log } = world.deployment.enterprise;
    issue(log);
    const note = log.note();
    assert.equal((await world.post("/add-checkpoint", `old 0\n\n${note}`)).status, 200);
    using stranger = keeping();
    assert.equal((await send(world, stranger, "/add-checkpoint", `old 0\n\n${note}`)).status, 409);
    const repeated = await send(world, stranger, "/add-checkpoint", `old 1\n\n${note}`);
    assert.equal(repeated.status, 200);
    // Idle strangers go when silent ones are few: this one has nothing that keeps it.
    const idle = Array.from({ length: 520 }, () => keeping());
    for (const agent of idle) await send(world, agent, "/add-checkpoint", "");
    const later = await send(world, stranger, "/add-checkpoint", `old 1\n\n${note}`);
    assert.notEqual(later.localPort, repeated.localPort);
    for (const agent of idle) agent.destroy();
  });
});
