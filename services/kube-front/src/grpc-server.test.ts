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
import { until } from "@redoubt/testkit";
import { gzipSync } from "node:zlib";
import { ServiceError } from "@redoubt/base";
import type { SignJwtRequest } from "./external-jwt-signer.ts";
import { GRPC_LIMITS, serveGrpc, type GrpcLimits } from "./grpc-server.ts";
import { decodeMessage, encodeMessage } from "./testing/proto.ts";
import { answerOf, RawClient } from "./testing/raw-client.ts";

type Sign = (request: SignJwtRequest) => Promise<{ header: string; signature: string }>;

const MAX = 1000;

function nobody(): Promise<never> {
  return Promise.reject(new Error("Not asked here"));
}

/** A server in a folder of its own, with what it refused and logged. */
class Fixture implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "grpc-"));
  readonly path = join(this.folder, "sock");
  readonly refused: string[] = [];
  readonly logged: string[] = [];
  readonly #open: AsyncDisposable[] = [];

  async serve(
    sign: Sign,
    limits: Partial<GrpcLimits> = {},
    path = this.path,
  ): Promise<AsyncDisposable> {
    const server = await serveGrpc({
      path,
      caller: "kube-apiserver",
      methods: { sign, fetchKeys: nobody, metadata: nobody },
      limits: { ...GRPC_LIMITS, maxMessageBytes: MAX, maxConnections: 4, ...limits },
      sink: (event, fields) => this.logged.push(`${event} ${String(fields?.["code"])}`),
      events: { callRefused: (_, code) => this.refused.push(code) },
    });
    this.#open.push(server);
    return server;
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

const echo: Sign = ({ claims }) => Promise.resolve({ header: claims, signature: "s" });

/** gRPC over HTTP/2, "Length-Prefixed-Message". */
function frame(message: Buffer, flag = 0): Buffer {
  const prefix = Buffer.of(flag, 0, 0, 0, 0);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** KEP-740, byte by byte: `claims` is field 1, `header` 1 and `signature` 2, each a text of one letter. */
const ASKED = frame(Buffer.from("0a0161", "hex"));
const ANSWERED = frame(Buffer.from("0a0161120173", "hex"));

describe("a gRPC server on a unix socket", () => {
  it("answers a unary call with a message and, after it, its status", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const answer = await fixture.client().ask(ASKED);
    assert.deepEqual(answer, { httpStatus: 200, grpcStatus: "0", body: ANSWERED, reset: 0 });
    assert.deepEqual(fixture.refused, []);
  });

  it("a message of nothing is a message: of no claims", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const { grpcStatus, body } = await fixture.client().ask(frame(Buffer.alloc(0)));
    const said = decodeMessage("SignJWTResponse", body.subarray(5));
    assert.deepEqual([grpcStatus, said], ["0", { header: "", signature: "s" }]);
  });

  it("proto3: fields that are not known yet are passed over, before and after the known one", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const client = fixture.client();
    // Numbers 2 to 5 as varint, 64 bits, bytes that are no text, 32 bits.
    for (const unknown of ["1001", "190000000000000000", "220361c328", "2d00000000"])
      for (const hex of [`${unknown}0a0161`, `0a0161${unknown}`])
        assert.deepEqual((await client.ask(frame(Buffer.from(hex, "hex")))).body, ANSWERED);
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
    await fixture.serve(() => Promise.reject(new ServiceError("ERR_SIGNER_TTL", "Too long")));
    const { httpStatus, grpcStatus, body } = await fixture.client().ask(ASKED);
    assert.deepEqual([httpStatus, grpcStatus, body.length], [200, "7", 0]);
    assert.deepEqual(fixture.refused, ["ERR_SIGNER_TTL"]);
  });

  for (const type of [undefined, "application/json"])
    it(`what is no gRPC call is answered as HTTP: ${type ?? "no content type"}`, async () => {
      await using fixture = new Fixture();
      await fixture.serve(echo);
      const answer = await fixture.client().ask(ASKED, { "content-type": type });
      assert.deepEqual([answer.httpStatus, answer.grpcStatus], [415, undefined]);
    });

  const SIGN_PATH = "/v1.ExternalJWTSigner/Sign";
  const gzip = { "grpc-encoding": "gzip" };
  const calls: readonly (readonly [string, Buffer, object, string])[] = [
    ["an unknown call", ASKED, { ":path": "/v1.X/Y" }, "12"],
    ["a path with a query", ASKED, { ":path": `${SIGN_PATH}?x` }, "12"],
    ["__proto__", ASKED, { ":path": "/__proto__" }, "12"],
    ["an unknown compression", frame(gzipSync(""), 1), { "grpc-encoding": "br" }, "12"],
    ["no message", Buffer.alloc(0), {}, "12"],
    ["two messages", Buffer.concat([ASKED, ASKED]), {}, "12"],
    ["half a message", ASKED.subarray(0, 6), {}, "12"],
    ["bytes that are no message", frame(Buffer.of(0x0f)), {}, "13"],
    ["compressed, and not", frame(Buffer.from("abc"), 1), gzip, "13"],
    ["a message over the bound", frame(Buffer.alloc(MAX + 1)), {}, "8"],
    ["a message that grows over it", frame(gzipSync(Buffer.alloc(100_000)), 1), gzip, "8"],
    ["a bad timeout", ASKED, { "grpc-timeout": "soon" }, "13"],
  ];
  for (const [name, bytes, headers, status] of calls)
    it(`${name}: status ${status}, nobody is asked, and the connection goes on`, async () => {
      await using fixture = new Fixture();
      let asked = 0;
      await fixture.serve((request) => {
        asked += 1;
        return echo(request);
      });
      const client = fixture.client();
      const answer = await client.ask(bytes, { ...headers });
      assert.deepEqual([answer.httpStatus, answer.grpcStatus, asked], [200, status, 0]);
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
    await fixture.serve(async (request) => {
      if (Number(request.claims) % 3 === 0)
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
      return echo(request);
    });
    const client = fixture.client();
    const texts = Array.from({ length: 300 }, (_, i) => String(1000 + i));
    const answers = await Promise.all(
      texts.map((text) => client.ask(frame(encodeMessage("SignJWTRequest", { claims: text })))),
    );
    assert.deepEqual(
      answers.map(({ body }) => decodeMessage("SignJWTResponse", body.subarray(5))["header"]),
      texts,
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
    stream.once("response", () => stream.end());
    stream.write(frame(Buffer.alloc(MAX + 1)).subarray(0, 5));
    const { grpcStatus, reset } = await answer;
    assert.deepEqual([grpcStatus, reset], ["8", constants.NGHTTP2_NO_ERROR]);
  });

  it("headers over 128 KiB end their connection", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    const options = { maxSendHeaderBlockLength: 1_000_000 };
    const large = await fixture.client(options).ask(ASKED, { "x-large": "x".repeat(131_072) });
    assert.deepEqual([large.httpStatus, large.grpcStatus], [undefined, undefined]);
    assert.notEqual(large.reset, constants.NGHTTP2_NO_ERROR);
    assert.equal((await fixture.client().ask(ASKED)).grpcStatus, "0");
    assert.deepEqual(fixture.refused, []);
  });

  it("a call that never comes to its end is given up in time", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { callTimeoutMs: 20 });
    const stream = fixture.client().open();
    const answer = answerOf(stream);
    stream.once("response", () => stream.end());
    stream.write(ASKED.subarray(0, 6));
    assert.equal((await answer).grpcStatus, "4");
    assert.deepEqual(fixture.refused, ["ERR_GRPC_DEADLINE"]);
  });

  it("the caller's deadline counts where it is the shorter one", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => new Promise(() => undefined));
    const client = fixture.client();
    for (const timeout of ["0S", "10m"])
      assert.equal((await client.ask(ASKED, { "grpc-timeout": timeout })).grpcStatus, "4");
  });

  it("a caller's deadline longer than ours changes nothing", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => new Promise(() => undefined), { callTimeoutMs: 10 });
    for (const timeout of ["1H", "99999999H"])
      assert.equal(
        (await fixture.client().ask(ASKED, { "grpc-timeout": timeout })).grpcStatus,
        "4",
      );
  });

  it("a client that takes nothing of its answer is cut off, and holds nobody else up", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo, { connectionAgeMs: 300, callTimeoutMs: 200 });
    const slow = fixture.client({ settings: { initialWindowSize: 0 } });
    const answer = slow.ask(ASKED);
    assert.equal((await fixture.client().ask(ASKED)).grpcStatus, "0");
    await slow.closed();
    const { body, grpcStatus } = await answer;
    assert.deepEqual([body.length, grpcStatus], [0, undefined]);
  });

  it("a client with a small window gets its whole answer", async () => {
    await using fixture = new Fixture();
    await fixture.serve(() => Promise.resolve({ header: "h", signature: "s".repeat(5000) }));
    const answer = await fixture.client({ settings: { initialWindowSize: 10 } }).ask(ASKED);
    assert.deepEqual([answer.grpcStatus, answer.body.length], ["0", 5 + 3 + 5003]);
  });

  it("no more than 128 calls are open on a connection; the next wait in the client", async () => {
    await using fixture = new Fixture();
    const waiting: (() => void)[] = [];
    await fixture.serve(async (request) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
      return echo(request);
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

  it("the call of a caller that went away is dropped, and the next caller is answered", async () => {
    await using fixture = new Fixture();
    const waiting: (() => void)[] = [];
    await fixture.serve(async (request) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
      return echo(request);
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

  it("at its end what is under way is answered, and nobody is let in any more", async () => {
    await using fixture = new Fixture();
    const gate = Promise.withResolvers<undefined>();
    let asked = 0;
    const server = await fixture.serve(async (request) => {
      asked += 1;
      await gate.promise;
      return echo(request);
    });
    const client = fixture.client();
    const answer = client.ask(ASKED);
    await until(() => asked === 1);
    const ended = server[Symbol.asyncDispose]();
    await fixture.client().closed();
    gate.resolve(undefined);
    assert.deepEqual((await answer).body, ANSWERED);
    await client.closed();
    await ended;
    assert.equal(asked, 1);
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
    await fixture.serve(echo, { connectionAgeMs: 400 });
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
    for (const hex of frames) {
      const socket = connect({ path: fixture.path });
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(Buffer.concat([preface, settings, Buffer.from(hex, "hex")]));
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
    await assert.rejects(fixture.serve(echo, {}, path), { code: "ERR_SOCKET_PATH" });
  });

  it("what a dead front left there is taken over", async () => {
    await using fixture = new Fixture();
    await fixture.serve(echo);
    await fixture.serve(() => Promise.resolve({ header: "second", signature: "s" }));
    const { body } = await fixture.client().ask(ASKED);
    assert.equal(decodeMessage("SignJWTResponse", body.subarray(5))["header"], "second");
  });
});
