import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { MonitorWorld } from "../testing/monitor-world.ts";

/** Sends bytes as they are and answers what comes back until the connection ends. */
function raw(world: MonitorWorld, bytes: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect({ host: "127.0.0.1", port: world.monitor.port });
  let answer = "";
  socket.on("data", (chunk: Buffer) => (answer += chunk.toString("latin1")));
  socket.on("close", () => resolve(answer));
  socket.on("error", () => resolve(answer));
  socket.end(bytes);
  return promise;
}

describe("HTTP: hostile input (THREAT-26)", () => {
  it("answers only what there is", async () => {
    await using world = await MonitorWorld.open();
    assert.equal((await world.post("/nothing", "")).status, 404);
    assert.equal((await world.post("/add-checkpoint/", "")).status, 404);
    for (const path of ["/add-checkpoint", "/reports", "/evidence"]) {
      const answer = await world.post(path, "", {}, "GET");
      assert.deepEqual([answer.status, answer.headers["allow"]], [405, "POST"]);
    }
    assert.equal((await world.post("/vkey", "")).status, 405);
    const vkey = await world.post("/vkey?x", "", {}, "GET");
    assert.deepEqual([vkey.status, vkey.body], [200, `${world.keys.witness}\n`]);
    assert.equal((await world.post("/health", "", {}, "GET")).status, 200);
  });

  it("bodies that are too long are cut off, announced or not", async () => {
    await using world = await MonitorWorld.open();
    const long = "x".repeat(20_000);
    assert.equal((await world.post("/add-checkpoint", long)).status, 413);
    const chunked = { "transfer-encoding": "chunked" };
    assert.equal((await world.post("/add-checkpoint", long, chunked)).status, 413);
    const announced = await raw(
      world,
      "POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\nabc",
    );
    assert.match(announced, /^HTTP\/1\.1 413/);
    assert.match(announced, /connection: close/i);
  });

  it("what is no HTTP, too much header and a request cut short end the connection, nothing else", async () => {
    await using world = await MonitorWorld.open();
    const requests = [
      "\0\0\0\0",
      "GET\r\n\r\n",
      `GET /vkey HTTP/1.1\r\nhost: x\r\nx: ${"a".repeat(10_000)}\r\n\r\n`,
      "POST /reports HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
      "POST /reports HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for (const request of requests) {
      const answer = await raw(world, request);
      assert.match(answer, /^(?:HTTP\/1\.1 4|$)/, request.slice(0, 40));
    }
    const cut = "POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nabc";
    assert.doesNotMatch(await raw(world, cut), /^HTTP\/1\.1 2/);
    assert.equal((await world.post("/health", "", {}, "GET")).status, 200);
  });

  it("reports wait until the registry was read: nobody is called an impostor before", async () => {
    await using world = await MonitorWorld.open();
    await world.stop();
    await world.start();
    const answer = await world.post("/reports", "{}");
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [503, "1"]);
    await world.tick();
    assert.equal((await world.post("/reports", "{}")).status, 401);
  });
});
