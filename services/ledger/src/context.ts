import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import {
  encodeCanonical,
  errorLine,
  fileBytes,
  readSpace,
  writeDurable,
  type Clock,
  type EventSink,
  type Sample,
} from "@redoubt/base";
import { encodeVerifierKey, logId } from "@redoubt/tlog";
import {
  processHandler,
  readSocketSecret,
  samplesBy,
  samplesOf,
  serveSocket,
  socketPlace,
  type Handler,
  type WireEvent,
} from "@redoubt/wire";
import type { Config } from "./config.ts";
import { DigestIndex } from "./digest-index.ts";
import { ledgerEvents, type LedgerEvent, type LedgerEvents } from "./events.ts";
import { LedgerHandler } from "./handler.ts";
import { loadHead } from "./history.ts";
import type { Log } from "./log.ts";
import { Operators } from "./operators.ts";
import { openLog, type LogSpec } from "./open-log.ts";
import { runLog, type LogTiming, type RunningLog, type RunningLogParts } from "./running-log.ts";
import { Sequencer } from "./sequencer.ts";
import { openDatabase, Store } from "./store.ts";
import { TileFolder } from "./tile-folder.ts";
import { Waiters } from "./waiters.ts";
import { WitnessClient, type WitnessTransport } from "./witness-client.ts";

export interface LedgerOptions extends LogTiming {
  readonly config: Config;
  /** The service's own folder; with `root` "" relative to the working directory. */
  readonly folder: string;
  /** The data folder, where the sockets lie. */
  readonly root: string;
  readonly clock: Clock;
  readonly sink: EventSink<LedgerEvent | WireEvent>;
  /** Replaceable only where services are composed in tests; no configuration reaches these. */
  readonly openDatabase?: (path: string) => DatabaseSync;
  readonly witness?: WitnessTransport;
  readonly edgeEvery?: number;
}

/** The running ledger. */
export interface Ledger extends AsyncDisposable {
  /** Rejects when storage can no longer be trusted: the process must end, and nothing is tried again. */
  readonly failed: Promise<never>;
  readonly logs: ReadonlyMap<string, Log>;
  readonly handle: Handler;
  /** Publishes what is durable now, without waiting for the usual delay. */
  publish(): Promise<void>;
  status(): object;
  metrics(): readonly Sample[];
}

const SERVICE = "ledger";
const DATABASE_FILE = "ledger.db";
const SIGNER_FRAME_BYTES = 4 * 1024 * 1024;
/** Nobody else sends more than one statement: 128 KiB in base64url. */
const OTHER_FRAME_BYTES = 320 * 1024;

/** Wires the ledger. The order of disposal is the reverse: callers first, the database last. */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  await using stack = new AsyncDisposableStack();
  const { config, folder } = options;
  const events = ledgerEvents(options.sink);
  const store = openStore(options, events, stack);
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const onFatal = (error: unknown): void => {
    sequencer.end();
    reject(error);
  };
  const halt = (log: Log, error: unknown): void => {
    if (log.halted === undefined) events.halted(log.origin, errorLine(error));
    log.halt(errorLine(error));
  };
  const waiters = stack.use(new Waiters());
  const keepCosigned: RunningLogParts["keepCosigned"] = (log, cosigned) =>
    sequencer.keepCosigned(log, cosigned);
  const keepMark: RunningLogParts["keepMark"] = (log, note) => sequencer.keepMark(log, note);
  const parts = { options, store, events, halt, keepCosigned, keepMark };
  const { logs, running } = openLogs(parts, stack);
  const sequencer = new Sequencer({
    store,
    events,
    onFatal,
    hasRoom: () => readSpace(folder).level !== "none",
    onAdvance: (log, growth) => {
      running.get(log)?.tiles.grew(growth);
      waiters.advanced(log);
    },
    reload: (log) => reload(log, store, halt),
    ...(options.edgeEvery === undefined ? {} : { edgeEvery: options.edgeEvery }),
  });
  stack.defer(() => sequencer.end());
  publishLogList(folder, logs, events);
  const registry = registryOf(logs, config);
  const { handle } = new LedgerHandler({
    store,
    sequencer,
    logs,
    provers: new Map([...running].map(([log, { prover }]) => [log, prover])),
    registry,
    operators: new Operators(store, registry, config.operator),
    witness: config.witness.key,
    index: stack.use(new DigestIndex(join(folder, "find.db"), store)),
    waiters,
    events,
  });
  const said = {
    status: () => {
      const { problem } = sequencer;
      const readiness = { ready: problem === undefined, ...(problem && { reason: problem }) };
      return { ...readiness, ...describeStatus(logs, running, config) };
    },
    metrics: () => [
      ...samplesOf({
        redoubt_batches_committed_total: sequencer.committed,
        redoubt_sqlite_wal_bytes: fileBytes(join(folder, `${DATABASE_FILE}-wal`)),
      }),
      ...logMetrics(describeLogs(logs, running)),
    ],
  };
  await listen(options, processHandler(said, handle), stack);
  // Disposed before the sockets: callers that wait for news are answered at once, so that no wait delays the end.
  stack.defer(() => waiters[Symbol.dispose]());
  for (const { start } of running.values()) start();
  const resources = stack.move();
  return {
    failed,
    logs,
    handle,
    publish: async () => {
      await Promise.all([...running.values()].map(({ tiles }) => tiles.flush()));
    },
    ...said,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function openStore(
  { folder, openDatabase: open = openDatabase }: LedgerOptions,
  events: LedgerEvents,
  stack: AsyncDisposableStack,
): Store {
  const store = new Store(open(join(folder, DATABASE_FILE)));
  stack.defer(() => {
    try {
      store.close();
    } catch (error) {
      // Nothing is lost: the next start reads from the write-ahead log what was not copied out of it now.
      events.storageFailed(error, true);
    }
  });
  store.settle();
  return store;
}

function openLogs(
  parts: Pick<RunningLogParts, "store" | "events" | "halt" | "keepCosigned" | "keepMark"> & {
    readonly options: LedgerOptions;
  },
  stack: AsyncDisposableStack,
): { readonly logs: ReadonlyMap<string, Log>; readonly running: ReadonlyMap<Log, RunningLog> } {
  const { config, folder, witness } = parts.options;
  const transport = witness ?? stack.use(new WitnessClient(config.witness.url));
  const logs = new Map<string, Log>();
  const running = new Map<Log, RunningLog>();
  for (const spec of logSpecs(config)) {
    const published = new TileFolder(join(folder, "published", logId(spec.origin)));
    const log = openLog(
      { ...parts, folder, witness: config.witness.key, clock: parts.options.clock },
      spec,
      published,
    );
    logs.set(log.origin, log);
    if (log.halted === undefined)
      running.set(log, stack.use(runLog({ ...parts, log, folder: published, transport })));
  }
  return { logs, running };
}

function logSpecs({ registry, registryKeys, logs }: Config): readonly LogSpec[] {
  return [
    { origin: registry, kind: "registry", keys: registryKeys },
    ...logs.map(({ log, writer, caller, isClosed }): LogSpec => ({
      origin: log,
      kind: "issuance",
      writer,
      caller,
      isClosed,
    })),
  ];
}

function registryOf(logs: ReadonlyMap<string, Log>, { registry }: Config): Log {
  const log = logs.get(registry);
  if (!log) throw new TypeError("The registry log is always opened");
  return log;
}

/** THREAT-07: another process advanced the log. What it wrote must continue what is known here, or the log is halted. */
function reload(log: Log, store: Store, halt: (log: Log, error: unknown) => void): void {
  const { range } = log.head;
  const known = { ...range.head, what: "this process" };
  try {
    log.advance(loadHead(store, log.identity, range.size > 0 ? [known] : []));
  } catch (error) {
    halt(log, error);
  }
}

async function listen(
  { config, root, sink }: LedgerOptions,
  handler: Handler,
  stack: AsyncDisposableStack,
): Promise<void> {
  const instance = randomUUID();
  for (const caller of config.callers) {
    const place = socketPlace(root, SERVICE, caller);
    const secret = readSocketSecret(place);
    const maxFrameBytes =
      caller.startsWith("signer-") || caller === "broker" ? SIGNER_FRAME_BYTES : OTHER_FRAME_BYTES;
    const { path } = place;
    // oxlint-disable-next-line no-await-in-loop -- a handful at start; the first failure names its socket
    const served = await serveSocket({
      path,
      caller,
      secret,
      service: SERVICE,
      instance,
      handler,
      sink,
      maxFrameBytes,
    });
    stack.use(served);
  }
}

/** docs/spec/logs.md §5: which logs there are, and with which keys their checkpoints are verified. */
function publishLogList(
  folder: string,
  logs: ReadonlyMap<string, Log>,
  events: LedgerEvents,
): void {
  const list = [...logs.values()].map((log) => ({
    origin: log.origin,
    id: log.identity.id,
    vkeys: log.verifiers.map(encodeVerifierKey),
  }));
  try {
    mkdirSync(join(folder, "published"), { recursive: true });
    writeDurable(join(folder, "published", "logs.json"), encodeCanonical({ logs: list }), 0o644);
  } catch (error) {
    events.tilesFailed("logs.json", error);
  }
}

function describeStatus(
  logs: ReadonlyMap<string, Log>,
  running: ReadonlyMap<Log, RunningLog>,
  { witness }: Config,
): object {
  const isLocal = ["127.0.0.1", "localhost", "[::1]"].includes(witness.url.hostname);
  return {
    logs: describeLogs(logs, running),
    // ARCHITECTURE §9: what this deployment is, said plainly.
    labels: ["log-keys: plain-file", ...(isLocal ? ["witness: same-machine"] : [])],
  };
}

interface LogStatus {
  readonly log: string;
  readonly size: number;
  readonly published: number;
  readonly cosignedSize: number;
  readonly cosignedAgeSeconds: number | null;
  readonly closed: boolean;
  readonly halted: string | null;
}

function describeLogs(
  logs: ReadonlyMap<string, Log>,
  running: ReadonlyMap<Log, RunningLog>,
): readonly LogStatus[] {
  return [...logs.values()].map((log) => ({
    log: log.origin,
    size: log.size,
    published: running.get(log)?.tiles.published.size ?? 0,
    cosignedSize: log.cosigned?.size ?? 0,
    cosignedAgeSeconds: running.get(log)?.submitter.ageSeconds ?? null,
    closed: log.identity.isClosed === true,
    halted: log.halted ?? null,
  }));
}

function logMetrics(logs: readonly LogStatus[]): Sample[] {
  // A log that has ended changes no more, and every quarter one more ends.
  const open = logs.filter(({ closed }) => !closed);
  return open.flatMap(({ log: label, size, cosignedSize, cosignedAgeSeconds, halted }) => [
    ...samplesBy("redoubt_log_entries", [[label, size]]),
    ...samplesBy("redoubt_log_cosigned_entries", [[label, cosignedSize]]),
    ...samplesBy("redoubt_log_halted", [[label, halted === null ? 0 : 1]]),
    // Nobody cosigns a log that has not begun: the age would only grow, and nothing be wrong.
    ...(cosignedAgeSeconds === null || size === 0
      ? []
      : samplesBy("redoubt_log_cosignature_age_seconds", [[label, cosignedAgeSeconds]])),
  ]);
}
