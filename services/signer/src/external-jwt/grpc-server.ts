import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { errorCode } from "@redoubt/base";
import { listenAtPlace, type ListenOptions } from "@redoubt/wire";
import { GrpcCall, type GrpcCallOptions } from "./grpc-call.ts";

export interface GrpcServerOptions extends GrpcCallOptions, ListenOptions {
  readonly maxConnections: number;
  /** A connection on which nothing moved for so long is closed. */
  readonly idleTimeoutMs: number;
}

/**
 * THREAT-26: what a connection may hold. 128 calls of at most one window each are 4 MiB; a caller is one process.
 * Nothing here waits on a peer without a time limit: see GrpcCall, and `idleTimeoutMs`.
 */
const HTTP2_LIMITS = {
  settings: {
    maxConcurrentStreams: 128,
    maxHeaderListSize: 8192,
    initialWindowSize: 32_768,
  },
  maxHeaderListPairs: 64,
  maxOutstandingPings: 4,
  maxSettings: 16,
  // In megabytes.
  maxSessionMemory: 8,
  maxSessionInvalidFrames: 16,
  maxSessionRejectedStreams: 128,
} as const;

const GRACE_MS = 5000;

/**
 * Listens for one caller, without transport security: who may enter the folder is the caller. gRPC has no place for
 * the secret of docs/spec/wire.md §2, so the folder's mode is the only proof here.
 *
 * @throws ServiceError `ERR_SOCKET_PATH`, `ERR_FILE_*` for a folder that is not closed to others
 */
export async function serveGrpc(options: GrpcServerOptions): Promise<AsyncDisposable> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer(HTTP2_LIMITS);
  server.maxConnections = options.maxConnections;
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // A graceful end: a call that was under way is answered, and clients connect again for the next.
    session.setTimeout(options.idleTimeoutMs, () => session.close());
  });
  server.on("sessionError", (error) =>
    options.log("connection_refused", { caller: options.caller, code: errorCode(error) }),
  );
  server.on("stream", (stream, headers) => new GrpcCall(stream, options).serve(headers));
  await listenAtPlace(server, options);
  return { [Symbol.asyncDispose]: () => close(server, sessions) };
}

/** GOAWAY: calls under way are answered, others go elsewhere. What is not answered in time is cut. */
async function close(server: Http2Server, sessions: Iterable<ServerHttp2Session>): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  for (const session of sessions) session.close();
  const cut = setTimeout(() => {
    for (const session of sessions) session.destroy();
  }, GRACE_MS);
  await closed;
  clearTimeout(cut);
}
