import { createServer, type Socket } from "node:net";
import type { EventSink, Secret } from "@redoubt/base";
import type { WireEvent } from "./events.ts";
import { Connection, type Handler } from "./connection.ts";
import { listenAtPlace } from "./listen.ts";

export interface SocketOptions {
  /** Path of the socket, ≤ 107 bytes; relative to the working directory where that is longer. */
  readonly path: string;
  readonly caller: string;
  readonly secret: Secret;
  readonly service: string;
  /** Tells one run of the process from the next. */
  readonly instance: string;
  readonly handler: Handler;
  /** `connection_refused` and `request_refused` have `caller` and `code`: what the handler never sees. */
  readonly log: EventSink<WireEvent>;
  readonly maxFrameBytes?: number;
  /** Requests and notices under way on a connection; past it the connection is not read. Default 1024. */
  readonly maxInFlight?: number;
  readonly helloTimeoutMs?: number;
  readonly maxConnections?: number;
}

/**
 * Listens for one caller (docs/spec/wire.md §1).
 *
 * @throws ServiceError `ERR_SOCKET_PATH`, `ERR_FILE_*` for a folder that is not closed to others
 */
export async function serveSocket(options: SocketOptions): Promise<AsyncDisposable> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
    serveConnection(socket, options);
  });
  server.maxConnections = options.maxConnections ?? 64;
  await listenAtPlace(server, options);
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const socket of connections) socket.destroy();
      await closed;
    },
  };
}

function serveConnection(socket: Socket, options: SocketOptions): void {
  const { helloTimeoutMs = 5000 } = options;
  const connection = new Connection(socket, options);
  const timer = setTimeout(() => connection.helloTimeout(), helloTimeoutMs).unref();
  socket.on("close", () => clearTimeout(timer));
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => connection.data(chunk));
  socket.on("drain", () => connection.regulate());
}
