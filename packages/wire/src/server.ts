import { chmodSync, lstatSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import {
  checkPrivateFolder,
  errorCode,
  ServiceError,
  type EventSink,
  type Secret,
} from "@redoubt/base";
import { Connection, type Handler } from "./connection.ts";

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
  readonly log: EventSink;
  readonly maxFrameBytes?: number;
  /** Requests and notices under way on a connection; past it the connection is not read. Default 1024. */
  readonly maxInFlight?: number;
  readonly helloTimeoutMs?: number;
  readonly maxConnections?: number;
}

const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Listens for one caller (docs/spec/wire.md §1).
 *
 * @throws ServiceError `ERR_SOCKET_PATH`, `ERR_FILE_*` for a folder that is not closed to others
 */
export async function serveSocket(options: SocketOptions): Promise<AsyncDisposable> {
  clearPlace(options.path);
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
    serveConnection(socket, options);
  });
  server.maxConnections = options.maxConnections ?? 64;
  await listen(server, options);
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

/** THREAT-32: what may be removed is a socket, and it stands in a folder that only we can write to. */
function clearPlace(path: string): void {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
    throw new ServiceError(
      "ERR_SOCKET_PATH",
      `Socket path is over ${MAX_SOCKET_PATH_BYTES} bytes: ${path}`,
    );
  checkPrivateFolder(dirname(path));
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && !found.isSocket())
    throw new ServiceError("ERR_SOCKET_PATH", `Not a socket: ${path}`);
  rmSync(path, { force: true });
}

function listen(server: Server, { path, log, caller }: SocketOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays: an accept that fails later, for want of descriptors, must not end the process.
    server.on("error", (error) => {
      log("socket_error", { caller, code: errorCode(error) });
      reject(error);
    });
    server.listen({ path }, () => {
      try {
        chmodSync(path, 0o600);
        resolve();
      } catch (error) {
        server.close(() => reject(error));
      }
    });
  });
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
