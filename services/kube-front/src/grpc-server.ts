import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import {
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type handleUnaryCall,
  type ServerInterceptor,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { errorCode, ServiceError } from "@redoubt/base";
import { listenAtPlace, type ListenOptions } from "@redoubt/wire";
import type { KubeFrontEvents } from "./events.ts";
import type { ExternalJwtSigner, SignJwtRequest } from "./external-jwt-signer.ts";
import { grpcStatusOf } from "./grpc-status.ts";

/** THREAT-26: what a peer may hold. */
export interface GrpcLimits {
  readonly maxMessageBytes: number;
  /** From the first header to the answer. */
  readonly callTimeoutMs: number;
  /** At this age a connection is told to end, and `callTimeoutMs` later it is cut. */
  readonly connectionAgeMs: number;
  readonly maxConnections: number;
  readonly maxCallsOfConnection: number;
}

export const GRPC_LIMITS: GrpcLimits = {
  // Twice the largest payload that the signer looks at, and room for fields that a newer client may send.
  maxMessageBytes: 16_384,
  // Longer than the signer itself waits for its log.
  callTimeoutMs: 20_000,
  // Above the refresh hint; clients connect again for the next call by themselves.
  connectionAgeMs: 900_000,
  // kube-apiserver opens one; a second comes with its restart.
  maxConnections: 8,
  maxCallsOfConnection: 128,
};

export interface GrpcServerOptions extends ListenOptions {
  readonly limits: GrpcLimits;
  readonly methods: Pick<ExternalJwtSigner, "sign" | "fetchKeys" | "metadata">;
  readonly events: KubeFrontEvents;
}

const MAX_SESSION_MEGABYTES = 8;
const GRACE_MS = 5000;

/**
 * Listens for one caller, without transport security: who may enter the folder is the caller. gRPC has no place for
 * the secret of docs/spec/wire.md §2, so the folder's mode is the only proof here.
 *
 * @throws ServiceError `ERR_SOCKET_PATH`, `ERR_FILE_*` for a folder that is not closed to others
 */
export async function serveGrpc(options: GrpcServerOptions): Promise<AsyncDisposable> {
  const { limits, sink, caller } = options;
  const grpc = new Server({
    "grpc.max_receive_message_length": limits.maxMessageBytes,
    "grpc.max_concurrent_streams": limits.maxCallsOfConnection,
    "grpc.max_connection_age_ms": limits.connectionAgeMs,
    "grpc.max_connection_age_grace_ms": limits.callTimeoutMs,
    "grpc-node.max_session_memory": MAX_SESSION_MEGABYTES,
    "grpc.enable_channelz": 0,
    interceptors: [limitTime(options)],
  });
  grpc.addService(serviceDefinition(), implementation(options));
  // A server of our own: the library's would neither remove a dead process's socket nor bound connections.
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // For instance bytes that are no HTTP/2; "close" follows.
    socket.on("error", (error) => sink("connection_refused", { caller, code: errorCode(error) }));
    injector.injectConnection(socket);
  });
  server.maxConnections = limits.maxConnections;
  await listenAtPlace(server, options);
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      // GOAWAY: calls under way are answered, others go elsewhere. What is not answered in time is cut.
      grpc.tryShutdown(() => undefined);
      const cut = setTimeout(() => {
        grpc.forceShutdown();
        for (const socket of sockets) socket.destroy();
      }, GRACE_MS);
      await closed;
      clearTimeout(cut);
    },
  };
}

/** The interface that kube-apiserver knows, as published. */
function serviceDefinition(): ServiceDefinition {
  const file = join(import.meta.dirname, "external-jwt-signer.proto");
  const found = loadSync(file, { keepCase: true, longs: Number, defaults: true });
  const service = found["v1.ExternalJWTSigner"];
  if (!service || "format" in service) throw new TypeError(`No service in ${file}`);
  return service;
}

type Method = "Sign" | "FetchKeys" | "Metadata";

function implementation({
  methods,
  events,
}: GrpcServerOptions): Readonly<Record<Method, handleUnaryCall<SignJwtRequest, object>>> {
  const unary =
    (
      name: Method,
      answer: (request: SignJwtRequest) => Promise<object>,
    ): handleUnaryCall<SignJwtRequest, object> =>
    ({ request }, reply) => {
      void answer(request).then(
        (said) => reply(null, said),
        (error: unknown) => {
          events.callRefused(name, errorCode(error));
          reply(grpcStatusOf(error));
        },
      );
    };
  return {
    Sign: unary("Sign", (request) => methods.sign(request)),
    FetchKeys: unary("FetchKeys", () => methods.fetchKeys()),
    Metadata: unary("Metadata", () => methods.metadata()),
  };
}

/** THREAT-26: bounds the time of every call, also of one whose message never comes to its end. */
function limitTime({ limits, events }: GrpcServerOptions): ServerInterceptor {
  return ({ path }, call) => {
    const timer = setTimeout(() => {
      const error = new ServiceError("ERR_GRPC_DEADLINE", "Call took too long");
      events.callRefused(path, error.code);
      call.sendStatus(grpcStatusOf(error));
    }, limits.callTimeoutMs).unref();
    const stop = (): void => clearTimeout(timer);
    return new ServerInterceptingCall(call, {
      start: (next) => next({ onCancel: stop }),
      sendStatus: (status, next) => {
        stop();
        next(status);
      },
    });
  };
}
