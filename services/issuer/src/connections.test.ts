import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { until } from "@redoubt/testkit";
import { basic, post, SECRET, System } from "./testing/system.ts";

const LIMITS = {
  connections: 8,
  keepAliveTimeoutMs: 60_000,
  headersTimeoutMs: 60_000,
  requestTimeoutMs: 60_000,
};
const FORM = "grant_type=client_credentials";

async function ready(): Promise<System> {
  const system = await System.open({ httpLimits: LIMITS });
  await system.putTenant();
  await system.putClient();
  return system;
}

/** A token request over the agent's only connection; the client's port tells which connection that was. */
async function token(system: System, agent: Agent, secret = SECRET) {
  const headers = {
    "content-type": "application/x-www-form-urlencoded",
    authorization: basic("app", secret),
  };
  const request = httpRequest(system.tokenUrl(), { method: "POST", agent, headers });
  const answered = once(request, "response");
  request.end(FORM);
  const [response] = await answered;
  const { localPort } = response.socket;
  response.resume();
  await once(response, "end");
  return { status: response.statusCode, localPort };
}

/** Connections that say nothing; each was accepted before the next one comes. */
async function strangers(port: number, count: number): Promise<Disposable> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => undefined);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await once(socket, "connect");
    sockets.push(socket);
  }
  return {
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

test("THREAT-36: a client that authenticated keeps its connection; running out is told to the monitor, once", async () => {
  await using system = await ready();
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  const first = await token(system, kept);
  assert.equal(first.status, 200);
  using _ = await strangers(system.issuer.port, 40);
  const fresh = await post(system.tokenUrl(), FORM, { authorization: basic("app", SECRET) });
  assert.equal(fresh.status, 200);
  assert.deepEqual(await token(system, kept), first);
  await until(() => system.monitor.told.all.length > 0);
  assert.equal(system.monitor.told.all[0]?.kind, "connections-full");
  assert.equal(system.names.filter((name) => name === "connections_full").length, 1);
  kept.destroy();
});

test("THREAT-36: only a connection on which a client authenticated takes one of that client's places", async () => {
  await using system = await ready();
  const named = async (): Promise<unknown> => {
    const { http } = await system.operate({ op: "status" });
    return typeof http === "object" && http !== null && "named" in http ? http.named : undefined;
  };
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.equal((await token(system, kept, "wrong")).status, 401);
  assert.equal(await named(), 0);
  assert.equal((await token(system, kept)).status, 200);
  assert.equal(await named(), 1);
  kept.destroy();
});
