import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as ask, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { errorCode, ServiceError } from "@redoubt/base";
import { HttpError } from "./errors.ts";
import { jsonAnswer, type HttpRequest, type RequestHead } from "./message.ts";
import { serveHttp, type Admission, type HttpLimits, type HttpOptions } from "./server.ts";

const events: string[] = [];

function serve(handler: HttpOptions["handler"], limits: Partial<HttpLimits> = {}, isReady = true) {
  return serveHttp({
    port: 0,
    handler,
    sink: (name) => void events.push(name),
    ready: () => isReady,
    limits: { checkIntervalMs: 20, ...limits },
  });
}

const echo = ({ method, path, query, body, address }: HttpRequest) =>
  jsonAnswer(200, { method, path, query, body: body.toString("latin1"), address });

/** Sends bytes, ends nothing, and gives back everything until the server closes. */
async function exchange(port: number, ...parts: string[]): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  for (const part of parts) socket.write(part);
  await once(socket, "close");
  return received;
}

const CLOSE = "Connection: close\r\n";

function withHeader(size: number): string {
  return `GET / HTTP/1.1\r\nHost: a\r\n${CLOSE}X: ${"x".repeat(size)}\r\n\r\n`;
}

function announced(size: number): string {
  return `POST / HTTP/1.1\r\nHost: a\r\n${CLOSE}Content-Length: ${size}\r\n\r\n${"x".repeat(size)}`;
}

function chunked(size: number): string {
  const head = `POST / HTTP/1.1\r\nHost: a\r\n${CLOSE}Transfer-Encoding: chunked\r\n\r\n`;
  return `${head}${size.toString(16)}\r\n${"x".repeat(size)}\r\n0\r\n\r\n`;
}

describe("serveHttp", () => {
  test("answers with length, request id and what the handler says", async () => {
    await using server = await serve(echo);
    const answer = await fetch(`http://127.0.0.1:${server.port}/a/b?c=d`, {
      method: "POST",
      body: "x=1",
    });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("x-request-id") ?? "", /^[\w-]+-1$/);
    assert.deepEqual(await answer.json(), {
      method: "POST",
      path: "/a/b",
      query: "c=d",
      body: "x=1",
      address: "127.0.0.1",
    });
  });

  test("the length is of bytes, HEAD has no body, asynchronous answers work", async () => {
    await using server = await serve(async () => jsonAnswer(200, { name: "é" }));
    const url = `http://127.0.0.1:${server.port}/`;
    assert.deepEqual(await (await fetch(url)).json(), { name: "é" });
    const head = await fetch(url, { method: "HEAD" });
    assert.equal(head.headers.get("content-length"), "13");
    assert.equal(await head.text(), "");
  });

  test("RFC 9112 §3.2.2: of a target in absolute form the path counts, never scheme and host", async () => {
    const seen: HttpRequest[] = [];
    await using server = await serve((request) => {
      seen.push(request);
      return jsonAnswer(200, {});
    });
    const targets = [
      ["http://a/b/c?d=e", "/b/c", "d=e"],
      ["HTTPS://other.example:8443/b//../c%2f", "/b//../c%2f", ""],
      ["http://[::1]:80/b", "/b", ""],
      ["http://a", "/", ""],
      ["http://a?d", "/", "d"],
      ["http://a/http://b/c", "/http://b/c", ""],
      ["//a/b", "//a/b", ""],
      ["/http://a/b", "/http://a/b", ""],
      // What is no such target stays as it came, and is no path of anybody's.
      ["http://user@a/b", "http://user@a/b", ""],
      ["http:///b", "http:///b", ""],
      ["http://a:b/c", "http://a:b/c", ""],
      ["ftp://a/b", "ftp://a/b", ""],
    ] as const;
    for (const [target, path, query] of targets) {
      const line = `POST ${target} HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`;
      // oxlint-disable-next-line no-await-in-loop -- to see which request was which
      assert.match(await exchange(server.port, line), /^HTTP\/1\.1 200 /, target);
      const last = seen.at(-1);
      assert.deepEqual([last?.path, last?.query, last?.headers.host], [path, query, "x"], target);
    }
    const health = await exchange(
      server.port,
      `GET http://a/health HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`,
    );
    assert.match(health, /^HTTP\/1\.1 200 .*\{"ready":true\}$/s);
  });

  test("health says whether the service is ready", async () => {
    await using ready = await serve(echo);
    await using waiting = await serve(echo, {}, false);
    assert.equal((await fetch(`http://127.0.0.1:${ready.port}/health`)).status, 200);
    const answer = await fetch(`http://127.0.0.1:${waiting.port}/health`);
    assert.equal(answer.status, 503);
    assert.deepEqual(await answer.json(), { ready: false });
    const post = await fetch(`http://127.0.0.1:${ready.port}/health`, { method: "POST" });
    assert.equal(post.status, 405);
    assert.equal(post.headers.get("allow"), "GET, HEAD");
    assert.match(await post.text(), /"code":"ERR_HTTP_METHOD"/);
  });

  test("a refusal is problem+json, anything else says nothing and is logged", async () => {
    await using server = await serve(({ path }) => {
      if (path === "/known") throw new HttpError("ERR_HTTP_NOT_FOUND", "No such thing");
      throw new ServiceError("ERR_SECRET", "path /etc/secret");
    });
    const known = await fetch(`http://127.0.0.1:${server.port}/known`);
    assert.equal(known.status, 404);
    assert.equal(known.headers.get("content-type"), "application/problem+json");
    assert.deepEqual(await known.json(), {
      type: "about:blank",
      title: "No such thing",
      status: 404,
      code: "ERR_HTTP_NOT_FOUND",
      requestId: known.headers.get("x-request-id"),
    });
    events.length = 0;
    const unknown = await fetch(`http://127.0.0.1:${server.port}/other`);
    assert.equal(unknown.status, 500);
    assert.doesNotMatch(await unknown.text(), /secret/i);
    assert.deepEqual(events, ["internal_error"]);
  });

  test("listens on the loopback address and says which port is taken", async () => {
    await using server = await serve(echo);
    await assert.rejects(
      serveHttp({ port: server.port, handler: echo, sink: () => undefined, ready: () => true }),
      { code: "ERR_HTTP_LISTEN" },
    );
  });
});

describe("THREAT-26: every input is bounded", () => {
  test("headers up to the bound pass, larger ones are 431", async () => {
    await using server = await serve(echo, { headerBytes: 2048 });
    assert.match(await exchange(server.port, withHeader(1500)), /^HTTP\/1.1 200/);
    assert.match(await exchange(server.port, withHeader(3000)), /^HTTP\/1.1 431/);
  });

  test("no header is dropped in silence when there are many", async () => {
    await using server = await serve(({ rawHeaders }) => jsonAnswer(200, rawHeaders.length / 2));
    const many = Array.from({ length: 1500 }, () => "a:b\r\n").join("");
    const answer = await exchange(server.port, `GET / HTTP/1.1\r\nHost: a\r\n${CLOSE}${many}\r\n`);
    assert.match(answer, /\r\n\r\n1502$/);
  });

  test("bodies up to the bound pass, longer ones are 413, announced or not", async () => {
    await using server = await serve(echo, { bodyBytes: 10 });
    for (const request of [announced, chunked]) {
      assert.match(await exchange(server.port, request(10)), /^HTTP\/1.1 200/);
      const answer = await exchange(server.port, request(11));
      assert.match(answer, /^HTTP\/1.1 413[^]*"code":"ERR_HTTP_BODY_TOO_LARGE"/);
    }
    // Without its body: the announcement is enough, and the connection is not kept.
    const huge = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n";
    assert.match(await exchange(server.port, huge), /^HTTP\/1.1 413[^]*Connection: close/);
  });

  test("a body on GET and requests with two lengths are refused", async () => {
    await using server = await serve(echo);
    const get = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert.match(await exchange(server.port, get), /^HTTP\/1.1 400[^]*ERR_HTTP_HEADER/);
    const smuggled =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert.match(await exchange(server.port, smuggled), /^HTTP\/1.1 400/);
    const two = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx";
    assert.match(await exchange(server.port, two), /^HTTP\/1.1 400/);
  });

  test("slow clients are cut off: silent, half a header, half a body, idle after an answer", async () => {
    await using server = await serve(echo, {
      headersTimeoutMs: 600,
      requestTimeoutMs: 700,
      keepAliveTimeoutMs: 500,
    });
    const [silent, header, body, idle] = await Promise.all([
      exchange(server.port),
      exchange(server.port, "GET / HTTP/1.1\r\nHost:"),
      exchange(server.port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"),
      exchange(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
    assert.match(silent, /^(?:HTTP\/1.1 408[^]*)?$/);
    assert.match(header, /^HTTP\/1.1 408/);
    assert.match(body, /^HTTP\/1.1 408/);
    assert.match(idle, /^HTTP\/1.1 200/);
  });

  test("pipelined requests past the bound are refused, not queued", async () => {
    const release = Promise.withResolvers<void>();
    await using server = await serve(
      async () => {
        await release.promise;
        return jsonAnswer(200, {});
      },
      { inFlight: 2 },
    );
    const one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const last = `GET /last HTTP/1.1\r\nHost: a\r\n${CLOSE}\r\n`;
    const answers = exchange(server.port, one + one + one + last);
    while (server.counts().requests < 4) await new Promise(setImmediate);
    release.resolve();
    assert.deepEqual((await answers).match(/HTTP\/1.1 \d+|retry-after: \d+|ERR_\w+/g), [
      "HTTP/1.1 200",
      "HTTP/1.1 200",
      "HTTP/1.1 503",
      "retry-after: 1",
      "ERR_HTTP_BUSY",
      "HTTP/1.1 503",
      "retry-after: 1",
      "ERR_HTTP_BUSY",
    ]);
  });

  test("THREAT-36: one connection has a few of the requests under way, others are served", async () => {
    const release = Promise.withResolvers<void>();
    await using server = await serve(
      async ({ path }) => {
        if (path !== "/other") await release.promise;
        return jsonAnswer(200, {});
      },
      { inFlight: 5, pipelined: 2 },
    );
    const last = `GET /last HTTP/1.1\r\nHost: a\r\n${CLOSE}\r\n`;
    const answers = exchange(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(9) + last);
    while (server.counts().requests < 10) await new Promise(setImmediate);
    assert.equal(server.counts().inFlight, 2);
    assert.equal((await fetch(`http://127.0.0.1:${server.port}/other`)).status, 200);
    release.resolve();
    const statuses = (await answers).match(/HTTP\/1.1 \d+/g);
    assert.deepEqual(statuses, [
      ...Array.from({ length: 2 }, () => "HTTP/1.1 200"),
      ...Array.from({ length: 8 }, () => "HTTP/1.1 503"),
    ]);
  });

  test("a client that leaves before the answer harms nobody", async () => {
    const release = Promise.withResolvers<void>();
    await using server = await serve(async () => {
      await release.promise;
      return jsonAnswer(200, {});
    });
    const socket = connect({ host: "127.0.0.1", port: server.port });
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while (server.counts().inFlight < 1) await new Promise(setImmediate);
    socket.destroy();
    await once(socket, "close");
    release.resolve();
    while (server.counts().inFlight > 0) await new Promise(setImmediate);
    assert.equal((await fetch(`http://127.0.0.1:${server.port}/health`)).status, 200);
  });
});

function admit({ path }: RequestHead): Admission {
  if (path === "/broken") throw new ServiceError("ERR_SECRET", "path /etc/secret");
  if (path === "/no") return jsonAnswer(401, { code: "no" });
  return path === "/short" ? 5 : 20;
}

describe("admit: before the body is read", () => {
  const options = { port: 0, handler: echo, admit, sink: () => undefined };

  test("refuses without a body having come, or says how long it may be", async () => {
    await using server = await serveHttp(options);
    const refused = "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    assert.match(await exchange(server.port, refused), /^HTTP\/1.1 401[^]*Connection: close/);
    const broken = refused.replace("/no", "/broken");
    assert.match(await exchange(server.port, broken), /^HTTP\/1.1 500(?![^]*secret)/);
    for (const request of [announced, chunked])
      for (const [path, most] of [
        ["/short", 5],
        ["/long", 20],
      ] as const) {
        const ok = request(most).replace("POST /", `POST ${path}`);
        assert.match(await exchange(server.port, ok), /^HTTP\/1.1 200/);
        const long = request(most + 1).replace("POST /", `POST ${path}`);
        assert.match(await exchange(server.port, long), /^HTTP\/1.1 413/);
      }
  });

  test("a refusal of a request without a body keeps the connection", async () => {
    await using server = await serveHttp(options);
    const two = `GET /no HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n${CLOSE}\r\n`;
    const answer = await exchange(server.port, two);
    // Without `ready` the path of health is the handler's.
    assert.match(answer, /^HTTP\/1.1 401[^]*HTTP\/1.1 200[^]*"path":"\/health"/);
    assert.equal(server.counts().inFlight, 0);
  });
});

/** What came of one request: an answer that is not whole is told from none at all. */
async function outcomeOf(port: number, agent: Agent): Promise<string> {
  const asked = ask({ host: "127.0.0.1", port, agent, path: "/x" }).end();
  let status = 0;
  try {
    const [answer]: IncomingMessage[] = await once(asked, "response");
    assert.ok(answer);
    status = answer.statusCode ?? 0;
    const body = await text(answer);
    return body === '{"path":"/x"}' ? String(status) : `broken: ${body}`;
  } catch (error) {
    return status === 0 ? errorCode(error) : `broken: ${errorCode(error)}`;
  }
}

describe("shutdown", () => {
  test("an answer that its reader takes slowly arrives whole, and so do those behind it", async () => {
    const body = Buffer.alloc(16 * 1024 * 1024, 7);
    const server = await serve(() => ({ status: 200, headers: [], body }));
    const socket = connect({ host: "127.0.0.1", port: server.port });
    socket.pause();
    socket.write("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    while (server.counts().requests < 2) await new Promise(setImmediate);
    const closed = server[Symbol.asyncDispose]();
    let received = 0;
    setTimeout(
      () => socket.on("data", (chunk: Buffer) => (received += chunk.length)).resume(),
      300,
    );
    await closed;
    await once(socket, "close");
    assert.ok(received > 2 * body.length, String(received));
  });

  test("clients that go on asking on their connections see no broken answer", async () => {
    const server = await serve(async ({ path }) => {
      await new Promise(setImmediate);
      return jsonAnswer(200, { path });
    });
    const { port } = server;
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const outcomes: string[] = [];
    const run = async (): Promise<void> => {
      while (outcomes.at(-1) !== "ECONNREFUSED") outcomes.push(await outcomeOf(port, agent));
    };
    const clients = Array.from({ length: 16 }, run);
    while (outcomes.length < 200) await new Promise(setImmediate);
    await server[Symbol.asyncDispose]();
    await Promise.all(clients);
    agent.destroy();
    // Each connection got one last answer; after that nobody listens, and no connection ends without an answer.
    assert.deepEqual(
      [...new Set(outcomes)].toSorted((a, b) => a.localeCompare(b)),
      ["200", "ECONNREFUSED"],
    );
  });

  test("a request under way is answered, idle and silent connections are closed soon", async () => {
    const release = Promise.withResolvers<void>();
    const server = await serve(async ({ path }) => {
      if (path === "/slow") await release.promise;
      return jsonAnswer(200, { path });
    });
    const silent = exchange(server.port);
    const idle = exchange(server.port, "GET /idle HTTP/1.1\r\nHost: a\r\n\r\n");
    const slow = exchange(server.port, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    while (server.counts().requests < 2) await new Promise(setImmediate);
    const closed = server[Symbol.asyncDispose]();
    release.resolve();
    await closed;
    assert.match(await slow, /^HTTP\/1.1 200[^]*Connection: close[^]*"\/slow"/);
    assert.match(await idle, /"\/idle"/);
    assert.equal(await silent, "");
  });

  test("a request that never ends is given up after the grace time; disposing twice is one shutdown", async () => {
    const server = await serve(() => new Promise(() => undefined), { graceMs: 30 });
    const hanging = exchange(server.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while (server.counts().inFlight < 1) await new Promise(setImmediate);
    await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
    assert.equal(await hanging, "");
    assert.throws(() => server.port, { code: "ERR_HTTP_CLOSED" });
  });
});
