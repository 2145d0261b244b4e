import { randomUUID } from "node:crypto";
import { join } from "node:path";
import {
  errorCode,
  nowSeconds,
  readSpace,
  type Clock,
  type ReadSpace,
  type Sample,
} from "@redoubt/base";
import { serveEverywhere, type HttpLimits, type HttpListeners } from "@redoubt/http";
import { encodeVerifierKey } from "@redoubt/tlog";
import {
  type Answered,
  type MONITOR,
  processHandler,
  readSocketSecret,
  serveSocket,
  SocketClient,
  socketPlace,
  type Handler,
  type Requester,
} from "@redoubt/wire";
import type { Config } from "./config.ts";
import { Engine } from "./run/engine.ts";
import { monitorOpened, type MonitorEvents } from "./events.ts";
import { monitorRoutes, noRoomAnswer } from "./sockets/http-routes.ts";
import { openIdentity } from "./initialise.ts";
import { httpRequest, type HttpRequest } from "./sockets/outgoing-http.ts";
import { DATABASE_FILE, openParts, type MonitorParts, type PartsOptions } from "./run/parts.ts";
import { monitorMetrics } from "./sockets/metrics.ts";
import { describeStatus, describeWaiting } from "./sockets/status.ts";

export interface MonitorOptions {
  readonly config: Config;
  /** The monitor's own folder. */
  readonly folder: string;
  /** The data folder; "" is the working directory. */
  readonly root: string;
  readonly clock: Clock;
  /** Where events go: the name that every service gets it by. The parts call it `events`. */
  readonly sink: MonitorEvents;
  /** Replaceable where services are composed in tests; no configuration reaches these. */
  readonly ledger?: Requester;
  readonly request?: HttpRequest;
  readonly httpLimits?: Partial<HttpLimits>;
  readonly random?: () => number;
  /** Runs a task again and again; the default is a timer. */
  readonly every?: (intervalMs: number, task: () => void) => Disposable;
  readonly openDatabase?: PartsOptions["openDatabase"];
  readonly readSpace?: ReadSpace;
}

export interface Monitor extends AsyncDisposable {
  readonly port: number;
  /** Rejects when the monitor can no longer keep what it acknowledged. */
  readonly failed: Promise<never>;
  /** Runs one round: what came in is decided, and deadlines are looked at. */
  tick(): Promise<void>;
  /** Waits for the polls and webhooks that rounds began. */
  settled(): Promise<void>;
  status(): Readonly<Record<string, unknown>>;
  /** None while the database is not open. */
  metrics(): readonly Sample[];
}

const SERVICE = "monitor";
const TICK_MS = 500;
const HTTP_LIMITS: Partial<HttpLimits> = {
  // Each may hold a report of 256 KiB in memory.
  connections: 512,
  named: 512,
  keepAliveTimeoutMs: 20_000,
  // A report is answered only after the logs were read.
  idleTimeoutMs: 60_000,
};
const LEDGER_TIMEOUT_MS = 5000;
const LEDGER_CONNECT_MS = 1000;
const MAX_FRAME_BYTES = 320 * 1024;

/** Wires the monitor. If one part cannot be opened, those that were opened before it are closed. */
export async function openMonitor(options: MonitorOptions): Promise<Monitor> {
  await using stack = new AsyncDisposableStack();
  const {
    config,
    folder,
    clock,
    sink: events,
    request = httpRequest,
    random = Math.random,
  } = options;
  const { readSpace: space = readSpace } = options;
  const identity = openIdentity(folder, config.keyNumbers);
  const ledger = options.ledger ?? stack.use(ledgerClient(options.root));
  const closing = new AbortController();
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const engine = stack.use(
    new Engine({
      folder,
      events,
      clock,
      readSpace: space,
      onFailure: reject,
      open: () =>
        openParts({
          ...options,
          events,
          identity,
          ledger,
          request: (url, how) => request(url, { ...how, signal: closing.signal }),
          random,
          readSpace: space,
        }),
    }),
  );
  stack.defer(() => closing.abort());
  const vkey = encodeVerifierKey(identity.witness);
  const http = stack.use(await openHttp(engine, options, vkey));
  const status = (): Answered<typeof MONITOR.status> =>
    engine.parts ? describeStatus(engine.parts, vkey) : describeWaiting(engine.failure, vkey);
  const metrics = (): readonly Sample[] => {
    const database = join(folder, DATABASE_FILE);
    return engine.parts ? monitorMetrics(status(), { ...engine.parts, database }) : [];
  };
  // Also while there is no room to open the database.
  const handler = processHandler({ status, metrics }, (call) =>
    engine.attempt(({ operations }) => operations(call)),
  );
  for (const caller of config.callers)
    // oxlint-disable-next-line no-await-in-loop -- a handful at start; the first failure names its socket
    stack.use(await listen(caller, handler, options));
  stack.use((options.every ?? everyTimer)(TICK_MS, () => void engine.tick()));
  monitorOpened(events, { port: http.port, witness: vkey });
  const resources = stack.move();
  return {
    port: http.port,
    failed,
    tick: () => engine.tick(),
    settled: () => engine.settled(),
    status,
    metrics,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function openHttp(
  engine: Engine,
  { config, clock, sink, httpLimits }: MonitorOptions,
  vkey: string,
): Promise<HttpListeners> {
  let lookedAt = -Infinity;
  const made = new WeakMap<MonitorParts, ReturnType<typeof monitorRoutes>>();
  const routesOf = (parts: MonitorParts): ReturnType<typeof monitorRoutes> => {
    const { witness, reports, registry, follower, sight } = parts;
    const routes =
      made.get(parts) ??
      monitorRoutes({
        witness,
        reports,
        reporters: registry.reporters,
        nowSeconds: () => nowSeconds(clock),
        vkey,
        isReady: () => follower.isFolded,
        failure: () => sight.failure,
        lookAgain: async () => {
          // Anybody may name logs that do not exist, as often as they like: the ledger is asked at most once a
          // second.
          if (clock.monotonic() - lookedAt < 1000) return;
          lookedAt = clock.monotonic();
          await follower.read();
        },
      });
    made.set(parts, routes);
    return routes;
  };
  return serveEverywhere(config.http, {
    admit: (head) => {
      const { parts, failure = "" } = engine;
      return parts ? routesOf(parts).admit(head) : noRoomAnswer(head, failure);
    },
    handler: async (request) => {
      try {
        return await engine.attempt((parts) => routesOf(parts).handler(request));
      } catch (error) {
        if (errorCode(error) === "ERR_MONITOR_DISK_FULL")
          return noRoomAnswer(request, engine.failure ?? "");
        throw error;
      }
    },
    sink,
    limits: { ...HTTP_LIMITS, ...httpLimits },
    onExhausted: (isExhausted) => engine.parts?.watches.crowded(isExhausted),
  });
}

function listen(
  caller: string,
  handler: Handler,
  { root, sink }: MonitorOptions,
): Promise<AsyncDisposable> {
  const place = socketPlace(root, SERVICE, caller);
  return serveSocket({
    path: place.path,
    caller,
    secret: readSocketSecret(place),
    service: SERVICE,
    instance: randomUUID(),
    handler,
    sink,
    maxFrameBytes: MAX_FRAME_BYTES,
  });
}

function ledgerClient(root: string): SocketClient {
  const place = socketPlace(root, "ledger", SERVICE);
  return new SocketClient({
    path: place.path,
    secret: readSocketSecret(place),
    timeoutMs: LEDGER_TIMEOUT_MS,
    connectTimeoutMs: LEDGER_CONNECT_MS,
  });
}

function everyTimer(intervalMs: number, task: () => void): Disposable {
  const timer = setInterval(task, intervalMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
