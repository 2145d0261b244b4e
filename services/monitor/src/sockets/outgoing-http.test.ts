import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { describe, it } from "node:test";
import { httpRequest } from "./outgoing-http.ts";

async function withServer(
  listener: RequestListener,
  work: (url: string) => Promise<void>,
): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    const address = server.address();
    assert.ok(typeof address === "object" && address);
    await work(`http://127.0.0.1:${address.port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  }
}

const GET = { method: "GET", maxBytes: 1000, timeoutMs: 2000 } as const;

describe("outgoing HTTP", () => {
  it("sends what it is given and answers status and body", async () => {
    await withServer(
      (request, response) => {
        const { method, url, headers } = request;
        let body = "";
        request.on("data", (chunk: Buffer) => (body += chunk.toString()));
        request.on("end", () => {
          response.statusCode = 201;
          response.end(`${method} ${url} ${String(headers["x-test"])} ${body}`);
        });
      },
      async (url) => {
        const options = {
          ...GET,
          method: "POST",
          headers: { "x-test": "1" },
          body: "hello",
        } as const;
        const { status, body, truncated } = await httpRequest(`${url}/a?b`, options);
        assert.deepEqual([status, body.toString(), truncated], [201, "POST /a?b 1 hello", false]);
      },
    );
  });

  it("reads no more than it may, and says so", async () => {
    await withServer(
      (_, response) => response.end("x".repeat(1001)),
      async (url) => {
        const { body, truncated } = await httpRequest(url, GET);
        assert.deepEqual([body.length, truncated], [1000, true]);
        const exact = await httpRequest(url, { ...GET, maxBytes: 1001 });
        assert.deepEqual([exact.body.length, exact.truncated], [1001, false]);
      },
    );
  });

  it("does not follow redirects", async () => {
    await withServer(
      (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
      async (url) => assert.equal((await httpRequest(url, GET)).status, 302),
    );
  });

  it("gives up on who does not answer, stops in the middle, or is not there", async () => {
    const refused = { code: "ERR_MONITOR_HTTP" };
    await withServer(
      () => undefined,
      async (url) => assert.rejects(httpRequest(url, { ...GET, timeoutMs: 30 }), refused),
    );
    await withServer(
      (_, response) => response.write("begin"),
      async (url) => assert.rejects(httpRequest(url, { ...GET, timeoutMs: 30 })),
    );
    await assert.rejects(httpRequest("http://127.0.0.1:1/", GET), refused);
    const signal = AbortSignal.abort();
    await withServer(
      (_, response) => response.end(),
      async (url) => assert.rejects(httpRequest(url, { ...GET, signal }), refused),
    );
  });
});
