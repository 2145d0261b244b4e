import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkPrivateFolder, type EventSink, type Service } from "@redoubt/base";
import {
  Deliveries,
  deliveryEvents,
  DeliveryJournal,
  readSocketSecret,
  samplesOf,
  SocketClient,
  socketPlace,
  type DeliveryEvent,
  type DeliveryLimits,
  type WireEvent,
} from "@redoubt/wire";
import type { KubeFrontConfig } from "./config.ts";
import { kubeFrontEvents, type KubeFrontEvent } from "./events.ts";
import { ExternalJwtSigner } from "./external-jwt-signer.ts";
import { GRPC_LIMITS, serveGrpc, type GrpcLimits } from "./grpc-server.ts";
import { SignedTokens } from "./signed-tokens.ts";

export interface KubeFrontOptions {
  readonly config: KubeFrontConfig;
  /** This process's own folder. */
  readonly folder: string;
  /** Data folder, "" for the working directory. */
  readonly root: string;
  readonly service: string;
  readonly sink: EventSink<KubeFrontEvent | DeliveryEvent | WireEvent>;
  /** Replaced by tests only. */
  readonly limits?: Partial<GrpcLimits>;
  readonly deliveryLimits?: Partial<DeliveryLimits>;
}

/** Short: kube-apiserver soon learns that the signer is away, and asks again by itself. */
const SIGNER_CONNECT_MS = 1000;
/** Well below that: a call that comes when the signer is back finds it. */
const SIGNER_RETRY_MS = 200;
const MONITOR_TIMEOUT_MS = 5000;

/**
 * Wires the front of one cluster's signer. It holds no key and decides nothing: whoever owns it can ask the signer
 * for what kube-apiserver can ask for.
 */
export async function openKubeFront(options: KubeFrontOptions): Promise<Service> {
  const { config, folder, root, service, sink } = options;
  // THREAT-32.
  checkPrivateFolder(folder);
  const limits = { ...GRPC_LIMITS, ...options.limits };
  await using stack = new AsyncDisposableStack();
  const deliveries = openDeliveries(options, stack);
  const signer = socketPlace(root, `signer-${config.realm}`, "kube-front");
  const client = stack.use(
    new SocketClient({
      path: signer.path,
      secret: readSocketSecret(signer),
      timeoutMs: limits.callTimeoutMs,
      connectTimeoutMs: SIGNER_CONNECT_MS,
      maxRetryMs: SIGNER_RETRY_MS,
      onClose: () => tokens.connectionEnded(),
    }),
  );
  const tokens = new SignedTokens(client, deliveries);
  const place = socketPlace(root, service, "kube-apiserver");
  // The other sockets' folders come with a secret. kube-apiserver has none, so that this folder is made here.
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  const events = kubeFrontEvents(sink);
  const methods = new ExternalJwtSigner(client, tokens);
  stack.use(
    await serveGrpc({ path: place.path, caller: "kube-apiserver", sink, limits, methods, events }),
  );
  const owned = stack.move();
  return {
    status: () => ({
      realm: config.realm,
      signer: client.connected,
      underWay: client.inFlight,
      deliveries: deliveries.counts(),
    }),
    metrics: () =>
      samplesOf({
        redoubt_kube_signer_connected: client.connected ? 1 : 0,
        redoubt_kube_calls_under_way: client.inFlight,
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** THREAT-28: what the signer logs for this cluster is held against what came here. */
function openDeliveries(
  { config, folder, root, sink, deliveryLimits = {} }: KubeFrontOptions,
  stack: AsyncDisposableStack,
): Deliveries {
  const events = deliveryEvents(sink);
  const monitor = socketPlace(root, "monitor", `kube-front-${config.realm}`);
  const client = stack.use(
    new SocketClient({
      path: monitor.path,
      secret: readSocketSecret(monitor),
      timeoutMs: MONITOR_TIMEOUT_MS,
      connectTimeoutMs: MONITOR_TIMEOUT_MS,
    }),
  );
  const journal = stack.use(
    new DeliveryJournal({ path: join(folder, "deliveries.journal"), events }),
  );
  return stack.use(new Deliveries({ client, events, journal, limits: deliveryLimits }));
}
