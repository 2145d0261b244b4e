import { flushCompileCache } from "node:module";
import { systemClock, type Clock } from "./clock.ts";
import { openWhenSpace } from "./disk-space.ts";
import { errorCode, errorLine } from "./errors.ts";
import { EventLines, type EventClasses, type EventSink } from "./events.ts";
import { processSamples, type Sample } from "./metrics.ts";

/** A running service: it says how it is, and when it can do its work. */
export interface Service extends AsyncDisposable {
  /** Resolves once the service can do its work; a service without it is ready when open. */
  readonly ready?: Promise<void>;
  /** Rejects when the service can no longer do its work and must be restarted. */
  readonly failed?: Promise<never>;
  status(): object | Promise<object>;
  /** Its numbers, without those that every process has. */
  metrics?(): readonly Sample[];
}

export interface ServiceContext<Name extends string> {
  readonly clock: Clock;
  readonly sink: EventSink<Name>;
}

/** What every process says of itself. */
const PROCESS_EVENTS = {
  ready: "operation",
  stopping: "operation",
  stopped_by_error: "security",
  waiting_for_space: "security",
} as const satisfies EventClasses;
type ProcessLog = EventSink<keyof typeof PROCESS_EVENTS>;

/** A stop that takes longer is ended by force. Servers let requests under way have half of this time. */
const FORCED_STOP_MS = 10_000;

/**
 * Runs one service as this process, under a supervisor that speaks over the IPC channel: this says when the service is
 * ready and answers questions for its status and its metrics. The end of the channel stops the service, however the supervisor ended.
 *
 * @param name the service's name in events, and its folder in the data folder, which is the working directory
 * @param classes of the events that the service itself writes
 */
export async function runService<Name extends string>(
  name: string,
  classes: EventClasses<Name>,
  open: (context: ServiceContext<Name>) => Promise<Service>,
): Promise<void> {
  // Ctrl-C reaches the whole process group; only the supervisor decides when to stop.
  process.on("SIGINT", () => undefined);
  // A supervisor that was killed takes the pipes with it: the service must still close in order.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  using lines = new EventLines({
    write: (line) => void process.stdout.write(line),
    clock: systemClock,
    service: name,
    classes: { ...classes, ...PROCESS_EVENTS },
  });
  const sink = lines.sink;
  const stop = stopSignal();
  let service: Service | undefined;
  try {
    const answers: Answers = {
      status: (of) => of.status(),
      // As text: whoever asked reads it with bounds, and takes nothing for granted.
      metrics: (of) =>
        JSON.stringify({ samples: [...processSamples(lines.counts), ...(of.metrics?.() ?? [])] }),
    };
    const start = { name, open: () => open({ clock: systemClock, sink }), answers };
    service = await openService(start, stop, sink);
    if (service) await untilStopped(service, answers, stop, sink);
  } catch (error) {
    fail(name, sink, error);
  }
  armForcedStop();
  sink("stopping");
  try {
    await service?.[Symbol.asyncDispose]();
  } catch (error) {
    fail(name, sink, error);
  }
  if (process.connected) process.disconnect();
}

/** What a supervisor may ask, and what is answered while there is a service, or one that waits for room. */
type Answers = Readonly<
  Record<"status" | "metrics", (service: Asked) => string | object | Promise<object>>
>;
type Asked = Pick<Service, "status" | "metrics">;

/** While the disk is full, a process that could not start says so, and starts when there is room again. */
async function openService(
  start: {
    readonly name: string;
    readonly open: () => Promise<Service>;
    readonly answers: Answers;
  },
  stop: Promise<void>,
  sink: ProcessLog,
): Promise<Service | undefined> {
  const stopping = new AbortController();
  void stop.then(() => stopping.abort());
  let waiting: Asked | undefined;
  const answer = (message: unknown): void => {
    if (waiting) void answerMessage(waiting, start.answers, message);
  };
  process.on("message", answer);
  try {
    return await openWhenSpace(start.open, {
      folder: start.name,
      signal: stopping.signal,
      onWait: (reason) => {
        if (!waiting) sink("waiting_for_space", { reason });
        waiting = { status: () => ({ ready: false, reason }) };
      },
    });
  } finally {
    process.off("message", answer);
  }
}

function untilStopped(
  service: Service,
  answers: Answers,
  stop: Promise<void>,
  sink: ProcessLog,
): Promise<void> {
  const ready = (service.ready ?? Promise.resolve()).then(() => {
    tell({ type: "ready" });
    sink("ready");
    // Written now: Node itself writes the cache only when it exits, and a process that is killed never does.
    flushCompileCache();
    return stop;
  });
  process.on("message", (message: unknown) => {
    void answerMessage(service, answers, message);
  });
  return Promise.race([stop, ready, service.failed ?? stop]);
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      // Also bounds a start that hangs: `runService` arms its own only once the service was opened.
      armForcedStop();
      resolve();
    };
    for (const signal of ["SIGTERM", "SIGHUP", "disconnect"] as const) process.on(signal, stop);
  });
}

// A service that cannot close, for instance on a dead disk, must not outlive its supervisor.
function armForcedStop(): void {
  setTimeout(() => process.exit(process.exitCode ?? 1), FORCED_STOP_MS).unref();
}

function fail(name: string, sink: ProcessLog, error: unknown): void {
  sink("stopped_by_error", { code: errorCode(error), message: errorLine(error) });
  process.stderr.write(`${name}: ${errorLine(error)}\n`);
  process.exitCode = 1;
}

async function answerMessage(service: Asked, answers: Answers, message: unknown): Promise<void> {
  if (typeof message !== "object" || message === null) return;
  if (!("type" in message) || !("id" in message)) return;
  const { type, id } = message;
  if (type !== "status" && type !== "metrics") return;
  try {
    tell({ type, id, [type]: await answers[type](service) });
  } catch (error) {
    tell({ type, id, error: errorCode(error) });
  }
}

// With a callback a channel that has just ended is no uncaught error.
function tell(message: object): void {
  process.send?.(message, undefined, undefined, () => undefined);
}
