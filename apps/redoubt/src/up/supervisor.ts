import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { EventLines, readSpace, systemClock, type Secret } from "@redoubt/base";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { roleOf, type Role, type ServiceName } from "../layout.ts";
import { Child } from "./child.ts";
import { LogFiles } from "./log-files.ts";
import {
  ProcessWatch,
  SpaceWatch,
  SUPERVISOR_EVENTS,
  viewOf,
  type ProcessView,
} from "./watches.ts";

export interface SupervisorEvents {
  /** A line that the person at the terminal must see: an alarm, a process that ended. */
  readonly onNotice: (line: string) => void;
}

/** What the supervisor is told besides: the databases of issuers, by realm (`readDatabaseUrls`). */
export interface SupervisorOptions extends SupervisorEvents {
  readonly databases: ReadonlyMap<string, Secret>;
}

/** Realms whose issuers are among these processes. */
export function issuerRealms(services: readonly ServiceName[]): readonly string[] {
  return services.flatMap((service) => {
    const { kind, realm } = roleOf(service);
    return kind === "issuer" ? [realm] : [];
  });
}

/**
 * A process that asks is stopped before the one that answers, so that tokens under way are finished; one that reports
 * is
 * stopped before the monitor: an issuer that cannot hand over its last deliveries leaves a gap, in which a token that
 * was
 * logged but never delivered is a notice and no alarm (docs/spec/reports.md §4).
 */
export const STOP_ORDER: readonly (readonly Role["kind"][])[] = [
  ["issuer", "kube-front", "publisher"],
  // Issuers have things approved; whoever waits at the page hears that there will be no approval.
  ["signer", "presence"],
  // What signers have begun goes through it.
  ["link"],
  ["custody", "broker"],
  ["monitor"],
  ["ledger"],
];

/**
 * A process ends by itself within 10 s, nearly always at once. The first limit is for one, the second for all together.
 */
const STOP_ONE_MS = 11_000;
const STOP_ALL_MS = 25_000;

/** Time between looks. With the 30 s that a process may be not ready, the alarm comes well within the minute (P4). */
const LOOK_MS = 5000;

/** Every process of one machine: started, watched, started again, stopped. */
export class Supervisor implements AsyncDisposable {
  readonly #children: ReadonlyMap<ServiceName, Child>;
  readonly #logFolder: string;
  readonly #logs = new Map<string, LogFiles>();
  readonly #events: SupervisorEvents;
  readonly #waiting = new Map<ServiceName, (() => void)[]>();
  readonly #watch: ProcessWatch;
  readonly #spaceWatch: SpaceWatch;
  readonly #dataFolder: string;
  #looks: NodeJS.Timeout | undefined;
  #isStopping = false;

  constructor(
    dataFolder: string,
    services: readonly ServiceName[],
    { databases, ...events }: SupervisorOptions,
  ) {
    this.#events = events;
    this.#dataFolder = dataFolder;
    this.#logFolder = join(dataFolder, "up", "logs");
    mkdirSync(this.#logFolder, { recursive: true, mode: 0o700 });
    const childEvents = {
      onLine: (service: ServiceName, line: string) => this.#line(service, line),
      onReady: (service: ServiceName) => {
        for (const resolve of this.#waiting.get(service)?.splice(0) ?? []) resolve();
      },
      onExit: (service: ServiceName, code: number | null, signal: string | null) => {
        if (!this.#isStopping)
          events.onNotice(
            `${service} ended (${signal ?? `exit code ${code}`}); it is started again`,
          );
      },
    };
    const lines = new EventLines({
      write: (line) => this.#line("supervisor", line.trimEnd()),
      clock: systemClock,
      service: "supervisor",
      classes: SUPERVISOR_EVENTS,
    });
    this.#watch = new ProcessWatch(lines.sink);
    this.#spaceWatch = new SpaceWatch(lines.sink);
    this.#children = new Map(
      services.map((service) => {
        const { kind, realm } = roleOf(service);
        const database = kind === "issuer" ? databases.get(realm) : undefined;
        return [service, new Child(service, dataFolder, { ...childEvents, database })];
      }),
    );
  }

  start(): void {
    for (const child of this.#children.values()) child.start();
    this.#looks = setInterval(() => void this.#look(), LOOK_MS).unref();
  }

  async #look(): Promise<void> {
    const views = await this.views();
    if (this.#isStopping) return;
    this.#watch.look(views, systemClock.monotonic());
    this.#spaceWatch.look(readSpace(this.#dataFolder));
  }

  get children(): ReadonlyMap<ServiceName, Child> {
    return this.#children;
  }

  /** Resolves when every named service has said that it can do its work. */
  async ready(services: readonly ServiceName[]): Promise<void> {
    await Promise.all(
      services.map(async (service) => {
        if (this.#children.get(service)?.isReady) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#waiting.set(service, [...(this.#waiting.get(service) ?? []), resolve]);
        await promise;
      }),
    );
  }

  /** What each service says of itself and the supervisor sees of it. */
  async views(): Promise<ReadonlyMap<ServiceName, ProcessView>> {
    const views = [...this.#children].map(
      async ([service, child]) => [service, viewOf(child, await child.ask("status"))] as const,
    );
    return new Map(await Promise.all(views));
  }

  /** What each service says of itself, what the supervisor sees of it, and the space of the data folder. */
  async status(): Promise<JsonObject> {
    const views = await this.views();
    return {
      ...Object.fromEntries([...views].map(([service, view]) => [service, boundedView(view)])),
      disk: { ...readSpace(this.#dataFolder) },
    };
  }

  /** Lines of all processes that could not be kept. */
  get linesLost(): number {
    return [...this.#logs.values()].reduce((sum, { lost }) => sum + lost, 0);
  }

  #line(service: ServiceName | "supervisor", line: string): void {
    const files = this.#logs.get(service) ?? new LogFiles(this.#logFolder, service);
    this.#logs.set(service, files);
    files.append(line);
    if (line.includes('"event":"alarm"') || !line.startsWith("{")) this.#events.onNotice(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#looks);
    const endsAt = systemClock.monotonic() + STOP_ALL_MS;
    for (const kinds of STOP_ORDER) {
      const withinMs = Math.max(0, Math.min(STOP_ONE_MS, endsAt - systemClock.monotonic()));
      await Promise.all(
        [...this.#children].map(async ([service, child]) => {
          if (kinds.includes(roleOf(service).kind)) await child.stop(withinMs);
        }),
      );
    }
  }
}

const VIEW_LIMITS = { maxBytes: 128 * 1024, maxDepth: 12 } as const;

/** A process that says too much is shown without its words: it must not hide the others from their reader. */
export function boundedView(view: ProcessView): JsonObject {
  try {
    return parseJsonObject(JSON.stringify(view), VIEW_LIMITS);
  } catch {
    const { ready, restarts, pid, startedAt } = view;
    return {
      ready,
      restarts,
      ...(pid !== undefined && { pid }),
      ...(startedAt !== undefined && { startedAt }),
      unreadable: true,
    };
  }
}
