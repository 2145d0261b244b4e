import { mkdirSync } from "node:fs";
import { ServiceError, type EventSink } from "@redoubt/base";
import { socketPlace, type WireEvent } from "@redoubt/wire";
import { KUBE_APISERVER, type ExternalJwtService } from "./external-jwt-service.ts";
import type { GrpcMethod } from "./grpc-call.ts";
import { serveGrpc, type GrpcServerOptions } from "./grpc-server.ts";
import { EXTERNAL_JWT_PATHS } from "./messages.ts";

export interface ExternalJwtServerOptions {
  /** The data folder; "" where it is the working directory. */
  readonly root: string;
  readonly service: string;
  readonly log: EventSink<WireEvent>;
  /** undefined until the signer knows its keys. */
  readonly open: () => ExternalJwtService | undefined;
  /** THREAT-04: told of each refusal, as those of the other sockets are. */
  readonly refused: (caller: string, error: unknown) => void;
  /** Replaced by tests only. */
  readonly limits?: Partial<ExternalJwtLimits>;
}

type ExternalJwtLimits = Pick<
  GrpcServerOptions,
  "maxMessageBytes" | "callTimeoutMs" | "idleTimeoutMs" | "maxConnections"
>;

const LIMITS: ExternalJwtLimits = {
  // The largest payload that signExact looks at, and room for fields that a newer client may send.
  maxMessageBytes: 16_384,
  // Longer than the signer itself waits for its log.
  callTimeoutMs: 20_000,
  // Above the refresh hint, so that a quiet cluster keeps its connection.
  idleTimeoutMs: 900_000,
  // kube-apiserver opens one; a second comes with its restart.
  maxConnections: 8,
};

/** Opens the socket for kube-apiserver at `<service>/s/kube-apiserver/sock`. */
export function serveExternalJwt(options: ExternalJwtServerOptions): Promise<AsyncDisposable> {
  const { root, service, log, open, refused, limits } = options;
  const place = socketPlace(root, service, KUBE_APISERVER);
  // No secret is kept there that somebody would have to hand over, so the signer makes the folder itself.
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  return serveGrpc({
    ...LIMITS,
    ...limits,
    path: place.path,
    caller: KUBE_APISERVER,
    log,
    methods: new Map(Object.values(EXTERNAL_JWT_PATHS).map((path) => [path, route(path, open)])),
    refused: (error) => refused(KUBE_APISERVER, error),
  });
}

function route(path: string, open: () => ExternalJwtService | undefined): GrpcMethod {
  return (message) => {
    const method = open()?.methods.get(path);
    if (method) return method(message);
    throw new ServiceError("ERR_SIGNER_STARTING", "Signer has not read its registry yet");
  };
}
