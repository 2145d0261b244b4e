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
  readonly sink: EventSink<WireEvent>;
  readonly maxFrameBytes?: number;
  /** Requests and notices under way on a connection; past it the connection is not read. Default 1024. */
  readonly maxInFlight?: number;
  /** How long a connection may take to greet. Default 5000. */
  readonly helloTimeoutMs?: number;
  /** Default 64. */
  readonly maxConnections?: number;
  /** How long requests under way may still take when the server is disposed of. Default 5000. */
  readonly graceMs?: number;
}

const GRACE_MS = 5000;

/**
 * Listens for one caller (docs/spec/wire.md §1). When it is disposed of, it takes no new connection, answers the requests
 * under way within `graceMs`, and refuses those that still come with `ERR_WIRE_STOPPING`.
 *
 * @throws ServiceError `ERR_SOCKET_PATH`, `ERR_SOCKET_FD`, `ERR_FILE_*` for a folder that is not closed to others
 */
export async function serveSocket(options: SocketOptions): Promise<AsyncDisposable> {
  const connections = new Map<Socket, Connection>();
  const server = createServer((socket) => {
    connections.set(socket, serveConnection(socket, options));
    socket.on("close", () => connections.delete(socket));
  });
  server.maxConnections = options.maxConnections ?? 64;
  await listenAtPlace(server, options);
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const connection of connections.values()) connection.drain();
      const cut = setTimeout(() => {
        for (const socket of connections.keys()) socket.destroy();
      }, options.graceMs ?? GRACE_MS);
      await closed;
      clearTimeout(cut);
    },
  };
}

function serveConnection(socket: Socket, options: SocketOptions): Connection {
  const { helloTimeoutMs = 5000 } = options;
  const connection = new Connection(socket, options);
  const timer = setTimeout(() => connection.helloTimeout(), helloTimeoutMs).unref();
  socket.on("close", () => clearTimeout(timer));
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => connection.data(chunk));
  socket.on("drain", () => connection.regulate());
  return connection;
}
