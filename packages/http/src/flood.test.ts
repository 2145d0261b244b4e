import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { jsonAnswer, type HttpRequest } from "./message.ts";
import { serveHttp, type HttpServer } from "./server.ts";

const MANY = 1100;
const PATIENT = {
  headersTimeoutMs: 120_000,
  requestTimeoutMs: 120_000,
  keepAliveTimeoutMs: 120_000,
  idleTimeoutMs: 120_000,
};
const HALF_SPOKEN = {
  nothing: "",
  "half of the headers": "GET / HTTP/1.1\r\nHost:",
  "half of a body": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
};

function handler({ path, promote }: HttpRequest) {
  if (path === "/proven") promote("client:a");
  return jsonAnswer(200, {});
}

/** With the bounds of a service; the times are longer, so that a slow machine closes nothing by them. */
async function serve(events: string[] = []): Promise<HttpServer> {
  return serveHttp({
    port: 0,
    handler,
    sink: (name) => void events.push(name),
    ready: () => true,
    limits: PATIENT,
    onExhausted: (isExhausted) => void events.push(`exhausted: ${isExhausted}`),
  });
}

/** One stranger; resolves when the server has seen the connection. */
async function stranger(port: number, bytes: string): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  if (bytes !== "") socket.write(bytes);
  return socket;
}

async function strangers(port: number, count: number, bytes: string): Promise<Disposable> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: 100 }, () => stranger(port, bytes));
    // oxlint-disable-next-line no-await-in-loop -- no more at once than the system lets wait
    sockets.push(...(await Promise.all(batch)));
  }
  return {
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The client's port tells whether the connection is still the same. */
async function call(port: number, path: string, agent: Agent) {
  const request = httpRequest({ host: "127.0.0.1", port, path, agent });
  const answered = once(request, "response");
  request.end();
  const [response] = await answered;
  const { localPort } = response.socket;
  response.resume();
  await once(response, "end");
  return { status: response.statusCode, localPort };
}

describe("THREAT-36: 1,100 connections of strangers", () => {
  for (const [what, bytes] of Object.entries(HALF_SPOKEN))
    test(`that say ${what}: a new client is answered, a promoted connection stays`, async () => {
      const events: string[] = [];
      await using server = await serve(events);
      const kept = new Agent({ keepAlive: true, maxSockets: 1 });
      const first = await call(server.port, "/proven", kept);
      using _ = await strangers(server.port, MANY, bytes);
      // Within this test's time, which is shorter than any of those above: a place was made, not waited for.
      const fresh = await call(server.port, "/", new Agent());
      assert.equal(fresh.status, 200);
      assert.deepEqual(await call(server.port, "/proven", kept), first);
      assert.ok(server.counts().evicted >= MANY - 1024);
      assert.deepEqual(events, ["connections_full", "exhausted: true"]);
      kept.destroy();
    });

  test("5,000 silent ones, one after the other, do not reach a promoted connection", async () => {
    await using server = await serve();
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = await call(server.port, "/proven", kept);
    for (let round = 0; round < 5; round += 1) {
      // oxlint-disable-next-line no-await-in-loop -- successive
      using _ = await strangers(server.port, 1000, "");
      // oxlint-disable-next-line no-await-in-loop -- successive
      assert.deepEqual(await call(server.port, "/proven", kept), first);
    }
    kept.destroy();
  });
});
