import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openTpmDevice } from "./device-transport.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { connectTpmSocket } from "./socket-transport.ts";
import { ExchangeQueue, MAX_RESPONSE_BYTES } from "./transport.ts";

const COMMAND = Buffer.from("a command of 23 bytes..");

// Hooks of a file that runs in one process with others are theirs, too: only the last one is ours alone.
const root = mkdtempSync(join(tmpdir(), "tpm-"));
after(() => rmSync(root, { recursive: true }));

function newFolder(): string {
  return mkdtempSync(join(root, "t-"));
}

function response(body: Uint8Array): Buffer {
  return Buffer.concat([u16(0x8001), u32(10 + body.length), u32(0), body]);
}

function refusal(message: RegExp): object {
  return { name: "EvidenceError", code: "ERR_TPM_TRANSPORT", part: "tpm", message };
}

interface Peer extends AsyncDisposable {
  readonly path: string;
}

async function peer(answer: (socket: Socket, command: Buffer) => void): Promise<Peer> {
  const path = join(newFolder(), "s");
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (command) => {
      answer(socket, Buffer.from(command));
    });
  });
  server.listen(path);
  await once(server, "listening");
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

describe("socket", () => {
  it("sends the bare command and waits for all of the response", async () => {
    const whole = response(sized(COMMAND));
    await using tpm = await peer((socket, command) => {
      assert.deepEqual(command, COMMAND);
      socket.write(whole.subarray(0, 4));
      setImmediate(() => socket.write(whole.subarray(4)));
    });
    const transport = await connectTpmSocket(tpm.path);
    assert.deepEqual(await transport.send(COMMAND), whole);
    assert.deepEqual(await transport.send(COMMAND), whole);
    await transport.close();
    await transport.close();
  });

  it("sends a command when the one before has its response", async () => {
    let open = 0;
    await using tpm = await peer((socket, command) => {
      open += 1;
      assert.equal(open, 1);
      setImmediate(() => {
        open -= 1;
        socket.write(response(command));
      });
    });
    const transport = await connectTpmSocket(tpm.path);
    const commands = ["one", "two", "three"].map((text) => Buffer.from(text));
    const answers = await Promise.all(commands.map((command) => transport.send(command)));
    assert.deepEqual(answers, commands.map(response));
    await transport.close();
  });

  it("takes the largest response there is", async () => {
    const largest = response(Buffer.alloc(MAX_RESPONSE_BYTES - 10));
    await using tpm = await peer((socket) => socket.write(largest));
    const transport = await connectTpmSocket(tpm.path);
    assert.deepEqual(await transport.send(COMMAND), largest);
    await transport.close();
  });

  for (const [what, bytes] of [
    ["a response that would be too large", Buffer.concat([u16(0x8001), u32(4097), u32(0)])],
    ["bytes after a response", Buffer.concat([response(Buffer.alloc(0)), Buffer.of(0)])],
    ["a size below that of the header", Buffer.concat([u16(0x8001), u32(9), u32(0)])],
  ] as const)
    it(`THREAT-26: refuses ${what}, and all that comes later`, async () => {
      await using tpm = await peer((socket) => socket.write(bytes));
      const transport = await connectTpmSocket(tpm.path);
      await assert.rejects(transport.send(COMMAND), refusal(/more than a response/));
      await assert.rejects(transport.send(COMMAND), refusal(/out of reach/));
      await transport.close();
    });

  it("THREAT-26: waits for a response no longer than it was told", async () => {
    await using tpm = await peer((socket) => socket.write(Buffer.alloc(3)));
    const transport = await connectTpmSocket(tpm.path, { timeoutMs: 20 });
    await assert.rejects(transport.send(COMMAND), refusal(/does not answer/));
    await assert.rejects(transport.send(COMMAND), refusal(/out of reach/));
    await transport.close();
  });

  it("says when the other end goes", async () => {
    await using tpm = await peer((socket) => socket.destroy());
    const transport = await connectTpmSocket(tpm.path);
    await assert.rejects(transport.send(COMMAND), refusal(/closed/));
    await transport.close();
  });

  it("is closed once close has returned, also for whoever closes it again at the same time", async () => {
    await using tpm = await peer((socket) => socket.write(response(COMMAND)));
    const sockets: Socket[] = [];
    const onSocket = (message: unknown): void => {
      if (typeof message === "object" && message !== null && "socket" in message)
        if (message.socket instanceof Socket) sockets.push(message.socket);
    };
    subscribe("net.client.socket", onSocket);
    const transport = await connectTpmSocket(tpm.path);
    unsubscribe("net.client.socket", onSocket);
    let closed = 0;
    sockets[0]?.once("close", () => {
      closed += 1;
    });
    for (const closing of [transport.close(), transport.close()]) {
      await closing;
      assert.equal(closed, 1);
    }
  });

  it("sends nothing once it is closed", async () => {
    await using tpm = await peer((socket) => socket.write(response(COMMAND)));
    const transport = await connectTpmSocket(tpm.path);
    await transport.close();
    await assert.rejects(transport.send(COMMAND), refusal(/closed/));
  });

  it("says when there is none", async () => {
    const connecting = connectTpmSocket(join(newFolder(), "none"));
    await assert.rejects(connecting, refusal(/cannot be connected/));
  });
});

/** A file takes the command in one write, and a read gives what lies behind it, as a device does. */
function device(bytes: Uint8Array): string {
  const path = join(newFolder(), "device");
  writeFileSync(path, Buffer.concat([COMMAND, bytes]));
  return path;
}

describe("device", () => {
  it("takes a command in one write and gives the response in one read", async () => {
    const whole = response(sized(Buffer.alloc(900)));
    const transport = await openTpmDevice(device(whole));
    assert.deepEqual(Buffer.from(await transport.send(Buffer.alloc(COMMAND.length))), whole);
    await transport.close();
  });

  it("reads no more than a response may have", async () => {
    const transport = await openTpmDevice(device(Buffer.alloc(5000)));
    assert.equal((await transport.send(COMMAND)).length, MAX_RESPONSE_BYTES);
    await transport.close();
  });

  it("THREAT-26: waits for a response no longer than it was told", async () => {
    const path = join(newFolder(), "pipe");
    execFileSync("/usr/bin/mkfifo", [path]);
    const transport = await openTpmDevice(path, { timeoutMs: 20 });
    await assert.rejects(transport.send(Buffer.alloc(0)), refusal(/does not answer/));
    await assert.rejects(transport.send(COMMAND), refusal(/out of reach/));
    // Ends the read that still waits.
    writeFileSync(path, "x");
    await transport.close();
  });

  it("says when it fails, and stays so", async () => {
    const transport = await openTpmDevice(device(Buffer.alloc(0)));
    await transport.close();
    await assert.rejects(transport.send(COMMAND), refusal(/cannot be reached/));
    await assert.rejects(transport.send(COMMAND), refusal(/out of reach/));
  });

  it("says when there is none", async () => {
    const opening = openTpmDevice(join(newFolder(), "none"));
    await assert.rejects(opening, refusal(/cannot be opened/));
  });
});

it("a queue goes on with the next exchange, but not after one that failed", async () => {
  const queue = new ExchangeQueue();
  const answer = Buffer.of(1);
  assert.equal(await queue.run(() => Promise.resolve(answer)), answer);
  await assert.rejects(
    queue.run(() => Promise.reject(new Error("gone"))),
    refusal(/be reached/),
  );
  let ran = false;
  const later = queue.run(() => {
    ran = true;
    return Promise.resolve(answer);
  });
  await assert.rejects(later, refusal(/out of reach/));
  assert.equal(ran, false);
});
