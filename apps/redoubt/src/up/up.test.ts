import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { test } from "node:test";
import { errorCode, errorLine } from "@redoubt/base";
import type { Ports } from "../layout.ts";
import { isListening } from "../running.ts";
import { checkPortsFree } from "./up.ts";

async function withServer(work: (port: number) => Promise<void>): Promise<void> {
  const server: Server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => {
    server.listen({ port: 0, host: "127.0.0.1" }, () => resolve());
  });
  const address = server.address();
  try {
    assert.ok(typeof address === "object" && address !== null);
    await work(address.port);
  } finally {
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }
}

function allOn(port: number): Ports {
  return {
    publisher: port,
    "issuer-consumer": port,
    "issuer-enterprise": port,
    monitor: port,
    status: port,
    presence: port,
  };
}

test("THREAT-32: a port that somebody holds is named, in one line that says what to do", async () => {
  await withServer(async (port) => {
    for (const name of ["publisher", "monitor", "status", "presence"] as const) {
      const ports = { ...allOn(0), [name]: port };
      await assert.rejects(checkPortsFree(ports), (error) => {
        assert.equal(errorCode(error), "ERR_PORT");
        assert.match(
          error instanceof Error ? error.message : "",
          new RegExp(`^Port ${port} is taken: choose six free ports with --port$`),
        );
        assert.doesNotMatch(errorLine(error), /\n/);
        return true;
      });
    }
  });
});

test("free ports are free again after the look", async () => {
  let freed = 0;
  await withServer(async (port) => {
    freed = port;
    assert.equal(await isListening(port), true);
  });
  assert.equal(await isListening(freed), false);
  await checkPortsFree(allOn(freed));
  await checkPortsFree(allOn(freed));
  assert.equal(await isListening(freed), false);
});
