import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { errorCode, errorLine, type Clock } from "@redoubt/base";
import { serveHttp, type HttpLimits, type HttpServer } from "@redoubt/http";
import { encodeVerifierKey } from "@redoubt/tlog";
import {
  readSocketSecret,
  serveSocket,
  SocketClient,
  socketPlace,
  type Handler,
} from "@redoubt/wire";
import type { Config } from "./config.ts";
import { Cycle } from "./cycle.ts";
import { monitorOpened, tickFailed, type MonitorLog } from "./events.ts";
import type { LedgerPort } from "./follower/ledger-port.ts";
import { monitorRoutes } from "./http-routes.ts";
import { openIdentity } from "./initialise.ts";
import { httpRequest, type HttpRequest } from "./outgoing-http.ts";
import { wireParts, type MonitorParts } from "./parts.ts";
import { monitorOperations } from "./sockets/operations.ts";
import { describeStatus } from "./status.ts";

export interface MonitorOptions {
  readonly config: Config;
  /** The monitor's own folder. */
  readonly folder: string;
  /** The data folder; "" is the working directory. */
  readonly root: string;
  readonly clock: Clock;
  readonly log: MonitorLog;
  /** Replaceable where services are composed in tests; no configuration reaches these. */
  readonly ledger?: LedgerPort;
  readonly request?: HttpRequest;
  readonly httpLimits?: Partial<HttpLimits>;
  readonly random?: () => number;
  /** Runs a task again and again; the default is a timer. */
  readonly every?: (intervalMs: number, task: () => void) => Disposable;
}

export interface Monitor extends AsyncDisposable {
  readonly port: number;
  /** Rejects when the monitor can no longer keep what it acknowledged. */
  readonly failed: Promise<never>;
  /** What came in is decided: one round of everything that has a deadline. */
  tick(): Promise<void>;
  /** Waits for the polls and webhooks that ticks began. */
  settled(): Promise<void>;
  status(): Readonly<Record<string, unknown>>;
}

const SERVICE = "monitor";
const BACKUP_FILE = "backup.db";
const TICK_MS = 500;
const HTTP_LIMITS: Partial<HttpLimits> = {
  // A reporter's body may have 256 KiB.
  connections: 512,
  named: 512,
  keepAliveTimeoutMs: 20_000,
  // A report is answered when the logs were read.
  idleTimeoutMs: 60_000,
};
const LEDGER_TIMEOUT_MS = 5000;
const LEDGER_CONNECT_MS = 1000;
const MAX_FRAME_BYTES = 320 * 1024;

/** Wires the monitor. Whatever fails to open closes what was opened before it. */
export async function openMonitor(options: MonitorOptions): Promise<Monitor> {
  await using stack = new AsyncDisposableStack();
  const { config, folder, clock, log, request = httpRequest, random = Math.random } = options;
  const identity = openIdentity(folder);
  const ledger = options.ledger ?? stack.use(ledgerClient(options.root));
  const closing = new AbortController();
  const parts = wireParts({
    config,
    folder,
    clock,
    log,
    identity,
    ledger,
    request: (url, how) => request(url, { ...how, signal: closing.signal }),
    random,
  });
  stack.use(parts.db);
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const cycle = new Cycle(parts);
  const ticks = new Ticks(cycle, (error) => {
    tickFailed(log, { code: errorCode(error), message: errorLine(error) });
    reject(error);
  });
  stack.use(ticks);
  stack.defer(() => closing.abort());
  const vkey = encodeVerifierKey(identity.witness);
  const http = stack.use(await openHttp(parts, options, vkey));
  const status = (): Readonly<Record<string, unknown>> => describeStatus(parts, vkey);
  const backup = async (): Promise<string> => {
    await parts.db.backup(join(folder, BACKUP_FILE));
    return BACKUP_FILE;
  };
  const handler = monitorOperations({ ...parts, status, log, backup });
  for (const caller of config.callers)
    // oxlint-disable-next-line no-await-in-loop -- a handful at start; the first failure names its socket
    stack.use(await listen(caller, handler, options));
  stack.use((options.every ?? everyTimer)(TICK_MS, () => void ticks.run()));
  monitorOpened(log, { port: http.port, witness: vkey });
  const resources = stack.move();
  return {
    port: http.port,
    failed,
    tick: () => ticks.run(),
    settled: () => cycle.settled(),
    status,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Never two rounds at once; a round that failed is the last one. */
class Ticks implements AsyncDisposable {
  readonly #cycle: Cycle;
  readonly #onFailure: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #isEnded = false;

  constructor(cycle: Cycle, onFailure: (error: unknown) => void) {
    this.#cycle = cycle;
    this.#onFailure = onFailure;
  }

  run(): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    this.#running ??= this.#tick().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #tick(): Promise<void> {
    try {
      await this.#cycle.tick();
    } catch (error) {
      if (!this.#isEnded) this.#onFailure(error);
      this.#isEnded = true;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    await this.#running;
    await this.#cycle.settled();
  }
}

function openHttp(
  parts: MonitorParts,
  { config, clock, log, httpLimits }: MonitorOptions,
  vkey: string,
): Promise<HttpServer> {
  const { witness, reports, registry, follower, sight, watches } = parts;
  let lookedAt = -Infinity;
  const routes = monitorRoutes({
    witness,
    reports,
    reporters: registry.reporters,
    vkey,
    isReady: () => follower.isFolded,
    problem: () => sight.problem,
    lookAgain: async () => {
      // Anybody may ask for logs that do not exist.
      if (clock.monotonic() - lookedAt < 1000) return;
      lookedAt = clock.monotonic();
      await follower.read();
    },
  });
  return serveHttp({
    ...routes,
    port: config.port,
    log,
    limits: { ...HTTP_LIMITS, ...httpLimits },
    onExhausted: (isExhausted) => watches.crowded(isExhausted),
  });
}

function listen(
  caller: string,
  handler: Handler,
  { root, log }: MonitorOptions,
): Promise<AsyncDisposable> {
  const place = socketPlace(root, SERVICE, caller);
  return serveSocket({
    path: place.path,
    caller,
    secret: readSocketSecret(place),
    service: SERVICE,
    instance: randomUUID(),
    handler,
    log,
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
