import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ServiceError } from "@redoubt/base";
import { createSocketPlace, serveSocket, socketPlace, type SocketPlace } from "@redoubt/wire";
import { sendRawHead } from "./raw-socket.ts";

async function withPlace(work: (place: SocketPlace) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "raw-"));
  try {
    const place = socketPlace(root, "signer-enterprise", "drill");
    createSocketPlace(place);
    await work(place);
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Listens where a service would, and does with each connection what the test says. */
async function listen(
  place: SocketPlace,
  take: (socket: Socket) => void,
): Promise<AsyncDisposable> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    take(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(place.path, () => resolve());
  });
  return server;
}

test("the head arrives as it was written; a refusal brings the other side's code", async () => {
  await withPlace(async (place) => {
    const heads: object[] = [];
    await using _ = await serveSocket({
      path: place.path,
      caller: "drill",
      secret: createSocketPlace(place),
      service: "signer-enterprise",
      instance: "fake",
      handler: ({ head }) => {
        heads.push(head);
        if (heads.length === 2) throw new ServiceError("ERR_SIGNER_RESERVED", "Not yours to set");
        return { head: {} };
      },
      sink: () => undefined,
    });
    await sendRawHead(place, '{"op":"issue",  "a":1}');
    assert.deepEqual(heads, [{ a: 1 }]);
    const reserved = sendRawHead(place, '{"op":"issue","iss":"x"}');
    await assert.rejects(reserved, { code: "ERR_SIGNER_RESERVED" });
    const twice = sendRawHead(place, '{"op":"issue","op":"issue"}');
    await assert.rejects(twice, { code: "ERR_WIRE_FRAME" });
    assert.equal(heads.length, 2);
  });
});

test("a connection that ends without an answer is not one that was refused", async () => {
  await withPlace(async (place) => {
    await using _ = await listen(place, (socket) => void socket.once("data", () => socket.end()));
    await assert.rejects(sendRawHead(place, '{"op":"issue"}'), { code: "ERR_CLOSED" });
  });
});

test("no answer within 3 s is an error, never a wait without end", async (t) => {
  const limits: number[] = [];
  const mocked = t.mock.method(
    Socket.prototype,
    "setTimeout",
    function (this: Socket, ms: number, end: () => void) {
      limits.push(ms);
      mocked.mock.restore();
      return this.setTimeout(5, end);
    },
  );
  await withPlace(async (place) => {
    await using _ = await listen(place, (socket) => void socket.resume());
    await assert.rejects(sendRawHead(place, '{"op":"issue"}'), { code: "ERR_TIMEOUT" });
    assert.deepEqual(limits, [3000]);
  });
});
