import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { constants } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import { until } from "../testing/test-events.ts";
import type { GrpcMethod } from "./grpc-call.ts";
import { frameMessage } from "./grpc-message.ts";
import { serveGrpc, type GrpcServerOptions } from "./grpc-server.ts";
import { EXTERNAL_JWT_PATHS } from "./messages.ts";
import { answerOf, RawClient } from "./testing/raw-client.ts";

const MAX = 1000;

/** A server in a folder of its own, with what it refused and logged. */
class Fixture implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "grpc-"));
  readonly path = join(this.folder, "sock");
  readonly refused: string[] = [];
  readonly logged: string[] = [];
  readonly #open: AsyncDisposable[] = [];

  async serve(method: GrpcMethod, limits: Partial<GrpcServerOptions> = {}): Promise<void> {
    const server = await serveGrpc({
      path: this.path,
      caller: "kube-apiserver",
      methods: new Map([[EXTERNAL_JWT_PATHS.metadata, method]]),
      maxMessageBytes: MAX,
      callTimeoutMs: 5000,
      idleTimeoutMs: 60_000,
      maxConnections: 4,
      log: (event, fields) => this.logged.push(`${event} ${String(fields?.["code"])}`),
      refused: (error) => this.refused.push(error instanceof ServiceError ? error.code : "other"),
      ...limits,
    });
    this.#open.push(server);
  }

  client(options: ConstructorParameters<typeof RawClient>[1] = {}): RawClient {
    const client = new RawClient(this.path, options);
    this.#open.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const open of this.#open.toReversed()) await open[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true });
  }
}

const echo: GrpcMethod = (message) => message;
const ASKED = frameMessage(Buffer.from("abc"));

describe("a gRPC server on a unix socket", () => {
  it("answers a unary call with a message and, after it, its status", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const answer = await fixture.client().ask(ASKED);
    assert.deepEqual(answer, { httpStatus: 200, grpcStatus: "0", body: ASKED, reset: 0 });
    assert.deepEqual(fixture.refused, []);
  });

  it("a message of nothing is a message", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const nothing = frameMessage(Buffer.alloc(0));
    assert.deepEqual((await fixture.client().ask(nothing)).body, nothing);
  });

  it("takes the content type with and without its format", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const client = fixture.client();
    for (const type of ["application/grpc", "application/grpc+proto"])
      assert.equal((await client.ask(ASKED, { "content-type": type })).grpcStatus, "0");
  });

  it("an error is a status, coded, and nothing else", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => {
      throw new ServiceError("ERR_SIGNER_TTL", "Too long");
    });
    const { httpStatus, grpcStatus, body } = await fixture.client().ask(ASKED);
    assert.deepEqual([httpStatus, grpcStatus, body.length], [200, "7", 0]);
    assert.deepEqual(fixture.refused, ["ERR_SIGNER_TTL"]);
  });

  const http: readonly (readonly [string, object, number])[] = [
    ["GET", { ":method": "GET" }, 405],
    ["no content type", { "content-type": undefined }, 415],
    ["another content type", { "content-type": "application/json" }, 415],
    ["gRPC-Web", { "content-type": "application/grpc-web" }, 415],
    ["another format", { "content-type": "application/grpc+json" }, 415],
  ];
  for (const [name, headers, status] of http)
    it(`what is no gRPC call is answered as HTTP: ${name}`, async () => {
      await using fixture = new Fixture();
      await fixture.serve(echo);
      const answer = await fixture.client().ask(ASKED, { ...headers });
      assert.deepEqual([answer.httpStatus, answer.grpcStatus], [status, undefined]);
    });

  const calls: readonly (readonly [string, Buffer, object, string, string])[] = [
    ["an unknown call", ASKED, { ":path": "/v1.X/Y" }, "12", "ERR_SIGNER_OP"],
    [
      "a path with a query",
      ASKED,
      { ":path": `${EXTERNAL_JWT_PATHS.metadata}?x` },
      "12",
      "ERR_SIGNER_OP",
    ],
    ["__proto__", ASKED, { ":path": "/__proto__" }, "12", "ERR_SIGNER_OP"],
    ["gzip", ASKED, { "grpc-encoding": "gzip" }, "12", "ERR_GRPC_COMPRESSED"],
    ["a compressed message", Buffer.of(1, 0, 0, 0, 0), {}, "12", "ERR_GRPC_COMPRESSED"],
    ["no message", Buffer.alloc(0), {}, "12", "ERR_GRPC_CARDINALITY"],
    ["two messages", Buffer.concat([ASKED, ASKED]), {}, "12", "ERR_GRPC_CARDINALITY"],
    ["half a message", ASKED.subarray(0, 6), {}, "13", "ERR_WIRE_FRAME"],
    [
      "a message over the bound",
      frameMessage(Buffer.alloc(MAX + 1)),
      {},
      "8",
      "ERR_WIRE_TOO_LARGE",
    ],
    ["a bad timeout", ASKED, { "grpc-timeout": "soon" }, "13", "ERR_WIRE_FRAME"],
  ];
  for (const [name, bytes, headers, status, code] of calls)
    it(`${name}: status ${status}, and the connection goes on`, async () => {
      await using fixture = new Fixture();
      await fixture.serve(echo);
      const client = fixture.client();
      const answer = await client.ask(bytes, { ...headers });
      assert.deepEqual([answer.httpStatus, answer.grpcStatus], [200, status]);
      assert.deepEqual(fixture.refused, [code]);
      assert.equal((await client.ask(ASKED)).grpcStatus, "0");
    });

  it("identity is no compression", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const answer = await fixture.client().ask(ASKED, { "grpc-encoding": "identity" });
    assert.equal(answer.grpcStatus, "0");
  });

  it("answers 300 calls on one connection, whatever the order of their ends", async () => {
    await using fixture = new Fixture();
    await fixture.serve(async (message) => {
      if (message.readUInt16BE() % 3 === 0)
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
      return message;
    });
    const client = fixture.client();
    const messages = Array.from({ length: 300 }, (_, i) =>
      frameMessage(Buffer.of(i >> 8, i & 255)),
    );
    const answers = await Promise.all(messages.map((message) => client.ask(message)));
    assert.deepEqual(
      answers.map(({ body }) => body),
      messages,
    );
  });
});

describe("THREAT-26: hostile clients of the gRPC socket", () => {
  it("bytes that are no HTTP/2 end the connection, and others go on", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    for (const text of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0".repeat(64)]) {
      const socket = connect({ path: fixture.path });
      socket.on("error", () => undefined);
      socket.write(text);
      socket.resume();
      await new Promise<void>((resolve) => {
        socket.on("close", () => resolve());
      });
    }
    assert.equal(fixture.logged.length, 2);
    assert.match(fixture.logged.join(), /connection_refused/);
    assert.equal((await fixture.client().ask(ASKED)).grpcStatus, "0");
  });

  it("a message over the bound is refused by its prefix, before the rest of it comes", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const stream = fixture.client().open();
    const answer = answerOf(stream);
    stream.write(frameMessage(Buffer.alloc(MAX + 1)).subarray(0, 5));
    const { grpcStatus, reset } = await answer;
    assert.deepEqual([grpcStatus, reset], ["8", constants.NGHTTP2_NO_ERROR]);
  });

  it("headers over their bound are refused: 8 KiB once it is told, 64 KiB before", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const options = { maxSendHeaderBlockLength: 200_000 };
    const [first, second] = [fixture.client(options), fixture.client(options)];
    assert.equal((await first.ask(ASKED)).grpcStatus, "0");
    for (const [client, size] of [
      [first, 9000],
      [second, 70_000],
    ] as const) {
      const large = await client.ask(ASKED, { "x-large": "x".repeat(size) });
      assert.deepEqual([large.httpStatus, large.grpcStatus], [undefined, undefined]);
      assert.notEqual(large.reset, constants.NGHTTP2_NO_ERROR);
    }
    assert.equal((await fixture.client().ask(ASKED)).grpcStatus, "0");
    assert.deepEqual(fixture.refused, []);
  });

  it("a call that never comes to its end is given up in time", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { callTimeoutMs: 20 });
    const stream = fixture.client().open();
    const answer = answerOf(stream);
    stream.write(ASKED.subarray(0, 6));
    assert.equal((await answer).grpcStatus, "4");
    assert.deepEqual(fixture.refused, ["ERR_GRPC_DEADLINE"]);
  });

  it("the caller's deadline counts where it is the shorter one", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => new Promise<Buffer>(() => undefined));
    const client = fixture.client();
    for (const timeout of ["0S", "10m"])
      assert.equal((await client.ask(ASKED, { "grpc-timeout": timeout })).grpcStatus, "4");
  });

  it("and cannot be longer than ours", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => new Promise<Buffer>(() => undefined), { callTimeoutMs: 10 });
    const answer = await fixture.client().ask(ASKED, { "grpc-timeout": "99999999H" });
    assert.equal(answer.grpcStatus, "4");
  });

  it("a client that takes nothing of its answer is cut off, and holds nobody else up", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { callTimeoutMs: 500 });
    const slow = fixture.client({ settings: { initialWindowSize: 0 } });
    const answer = await slow.ask(ASKED);
    assert.deepEqual([answer.httpStatus, answer.reset], [200, constants.NGHTTP2_CANCEL]);
    assert.equal(answer.body.length, 0);
    assert.equal((await fixture.client().ask(ASKED)).grpcStatus, "0");
  });

  it("a client with a small window gets its whole answer", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => Buffer.alloc(5000, 7));
    const answer = await fixture.client({ settings: { initialWindowSize: 10 } }).ask(ASKED);
    assert.deepEqual([answer.grpcStatus, answer.body.length], ["0", 5005]);
  });

  it("no more than 128 calls are open on a connection; the next wait in the client", async () => {
    await using fixture = new Fixture();
    const waiting: (() => void)[] = [];
    await fixture.serve(async (message) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
      return message;
    });
    const client = fixture.client();
    const answers = Promise.all(Array.from({ length: 200 }, () => client.ask(ASKED)));
    await until(() => waiting.length === 128);
    // A round trip later there are still no more of them.
    await new Promise<void>((resolve, reject) => {
      client.session.ping((error) => (error ? reject(error) : resolve()));
    });
    assert.equal(waiting.length, 128);
    let isOver = false;
    void answers.then(() => (isOver = true));
    await until(() => {
      for (const go of waiting.splice(0)) go();
      return isOver;
    });
    assert.equal(
      (await answers).every(({ grpcStatus }) => grpcStatus === "0"),
      true,
    );
  });

  it("a caller that went away is answered by nobody, and the next one is", async () => {
    await using fixture = new Fixture();
    const waiting: (() => void)[] = [];
    await fixture.serve(async (message) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
      return message;
    });
    const client = fixture.client();
    const stream = client.open();
    stream.end(ASKED);
    await until(() => waiting.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    const gone = fixture.client();
    const lost = gone.open();
    lost.end(ASKED);
    await until(() => waiting.length === 2);
    gone.socket.destroy();
    await answerOf(lost);
    for (const go of waiting.splice(0)) go();
    const next = client.ask(ASKED);
    await until(() => waiting.length === 1);
    for (const go of waiting.splice(0)) go();
    assert.equal((await next).grpcStatus, "0");
  });

  it("connections over the bound are closed, the others stay", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { maxConnections: 1 });
    const first = fixture.client();
    assert.equal((await first.ask(ASKED)).grpcStatus, "0");
    await fixture.client().closed();
    assert.equal((await first.ask(ASKED)).grpcStatus, "0");
  });

  it("a connection on which nothing moves is closed", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { idleTimeoutMs: 400 });
    const client = fixture.client();
    assert.equal((await client.ask(ASKED)).grpcStatus, "0");
    await client.closed();
    const silent = connect({ path: fixture.path });
    silent.resume();
    await new Promise<void>((resolve) => {
      silent.on("close", () => resolve());
    });
  });

  it("random bytes after a good start end at most their own connection", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
    const settings = Buffer.from("000000040000000000", "hex");
    const frames = [
      "ffffff000000000001", // a frame of 16 MiB
      "000001060000000000ff", // a ping of one byte
      "0000040800000000000000000000", // a window update of 0
      "00000001040000000000", // headers on stream 0
      "000001010500000001ff", // a header block that is none
      "0000050000000000010000000000", // data on a stream that is not open
    ];
    for (const frame of frames) {
      const socket = connect({ path: fixture.path });
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(Buffer.concat([preface, settings, Buffer.from(frame, "hex")]));
      await new Promise<void>((resolve) => {
        socket.on("close", () => resolve());
      });
    }
    assert.equal((await fixture.client().ask(ASKED)).grpcStatus, "0");
  });
});

describe("THREAT-32: the place of the gRPC socket", () => {
  it("only this user can open it", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    assert.equal(statSync(fixture.path).mode & 0o777, 0o600);
  });

  it("a folder that is open to others is refused", async () => {
    await using fixture = new Fixture();
    chmodSync(fixture.folder, 0o750);
    await assert.rejects(fixture.serve(echo), { code: "ERR_FILE_MODE" });
    assert.equal(existsSync(fixture.path), false);
  });

  it("a file, a folder or a link in its place is refused and stays", async () => {
    await using fixture = new Fixture();
    writeFileSync(fixture.path, "");
    await assert.rejects(fixture.serve(echo), { code: "ERR_SOCKET_PATH" });
    assert.equal(existsSync(fixture.path), true);
    rmSync(fixture.path);
    symlinkSync("/nowhere", fixture.path);
    await assert.rejects(fixture.serve(echo), { code: "ERR_SOCKET_PATH" });
  });

  it("a path that no socket can have is refused", async () => {
    await using fixture = new Fixture();
    const path = join(fixture.folder, "x".repeat(108));
    await assert.rejects(fixture.serve(echo, { path }), { code: "ERR_SOCKET_PATH" });
  });

  it("what a dead signer left there is taken over", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    await fixture.serve(() => Buffer.from("second"));
    const { body } = await fixture.client().ask(ASKED);
    assert.deepEqual(body, frameMessage(Buffer.from("second")));
  });
});
