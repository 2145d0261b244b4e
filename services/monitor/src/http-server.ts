import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errorCode, errorLine, type EventSink } from "@redoubt/base";
import { monitorError } from "./errors.ts";
import { requestFailed } from "./events.ts";
import type { HttpReply, Route } from "./http-routes.ts";

export interface HttpServer extends AsyncDisposable {
  readonly port: number;
}

const MAX_CONNECTIONS = 256;
const MAX_HEADER_BYTES = 8192;
const HEADERS_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 20_000;

/** Serves loopback only. THREAT-26: whoever connects may send anything, at any speed; all of it is bounded. */
export async function openHttpServer(options: {
  readonly port: number;
  readonly route: Route;
  readonly log: EventSink;
}): Promise<HttpServer> {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => void answer(request, response, options),
  );
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, options.port);
  return {
    port: portOf(server.address()),
    [Symbol.asyncDispose]: () => close(server),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { route, log }: { readonly route: Route; readonly log: EventSink },
): Promise<void> {
  try {
    const reply = await route({
      method: request.method ?? "",
      // Only the path counts; nothing here has parameters.
      path: (request.url ?? "").split("?", 1)[0] ?? "",
      headers: request.headers,
      readBody: (maxBytes) => readBody(request, maxBytes),
    });
    send(response, reply, request.complete);
  } catch (error) {
    // Who sent nothing further gets nothing further either.
    if (response.headersSent || request.destroyed || response.destroyed) return;
    requestFailed(log, { code: errorCode(error), message: errorLine(error) });
    send(response, { status: 500, body: "Internal error\n" }, false);
  }
}

function send(response: ServerResponse, reply: HttpReply, isRead: boolean): void {
  const { status, body, contentType = "text/plain; charset=utf-8", headers = {} } = reply;
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers,
    // What was not read of a request would be taken for the next one.
    ...(!isRead && { connection: "close" }),
  });
  response.end(body);
}

/** Undefined when there is more than `maxBytes`. */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return undefined;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | undefined>();
  const chunks: Buffer[] = [];
  let size = 0;
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
    else resolve(undefined);
  });
  request.on("end", () => resolve(size <= maxBytes ? Buffer.concat(chunks) : undefined));
  request.on("error", reject);
  request.on("close", () => reject(monitorError("ERR_MONITOR_HTTP", "Request was cut short")));
  return promise;
}

function listen(server: Server, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
    server.off("error", reject);
    resolve();
  });
  return promise;
}

function portOf(address: string | AddressInfo | null): number {
  if (typeof address === "object" && address !== null) return address.port;
  throw monitorError("ERR_MONITOR_HTTP", "Server has no port");
}

async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}
