import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MemberReader } from "@redoubt/base";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "./free-ports.ts";
import { isAlive, RedoubtProcess, type Ending } from "./redoubt-process.ts";

export type { Ending } from "./redoubt-process.ts";

/** What `redoubt up --json` says when everything is ready. */
export interface Announcement {
  readonly issuers: readonly { readonly realm: string; readonly issuer: string }[];
  readonly status: string;
  /** A shell command that gets a token. */
  readonly token: string;
  readonly data: string;
}

export interface SystemOptions {
  /** First of six ports; default: six that are free. */
  readonly port?: number;
  /** A data folder to use and to keep; default: a new one that is removed at the end. */
  readonly folder?: string;
  /** Whether a new folder gets leases, as `npm start` gives them; default: none, which is three processes fewer. */
  readonly leases?: boolean;
  /** Of `redoubt up`. */
  readonly environment?: Readonly<Record<string, string>>;
}

const START_TIMEOUT_MS = 45_000;
const STOP_TIMEOUT_MS = 30_000;
const PORT_ATTEMPTS = 3;

/** A whole Redoubt on this machine: `redoubt up` as a child process. Stop it in `after()`, or with `await using`. */
export class System implements AsyncDisposable {
  readonly folder: string;
  readonly base: number;
  readonly announcement: Announcement;
  readonly supervisor: RedoubtProcess;
  readonly #remove: string | undefined;

  constructor(parts: {
    readonly folder: string;
    readonly base: number;
    readonly announcement: Announcement;
    readonly supervisor: RedoubtProcess;
    readonly remove: string | undefined;
  }) {
    this.folder = parts.folder;
    this.base = parts.base;
    this.announcement = parts.announcement;
    this.supervisor = parts.supervisor;
    this.#remove = parts.remove;
  }

  /** Runs a command on this system's data folder and waits for its end. */
  redoubt(args: readonly string[], input = ""): Promise<Ending> {
    return redoubt(["--data", this.folder, ...args], input);
  }

  /** What the status page says, by service. */
  async status(): Promise<Readonly<Record<string, JsonObject>>> {
    const answer = await fetch(`http://127.0.0.1:${this.base + 4}/status.json`);
    const { disk: _, ...page } = parseJsonObject(await answer.text());
    return Object.fromEntries(
      Object.entries(page).map(([service, value]) => [service, isJsonObject(value) ? value : {}]),
    );
  }

  async pidOf(service: string): Promise<number> {
    const pid = (await this.status())[service]?.["pid"];
    if (typeof pid !== "number") throw new Error(`${service} does not run`);
    return pid;
  }

  /** Every process of this system that runs now, the supervisor first. */
  async pids(): Promise<number[]> {
    const pids = Object.values(await this.status()).map(({ pid }) => pid);
    return [this.supervisor.pid, ...pids.filter((pid) => typeof pid === "number")];
  }

  /** Stops everything as Ctrl-C does; safe to call twice. The folder stays until disposal. */
  async stop(): Promise<Ending> {
    this.supervisor.kill("SIGINT");
    const force = setTimeout(() => this.supervisor.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const ending = await this.supervisor.ended;
    clearTimeout(force);
    return ending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (this.#remove !== undefined) await rm(this.#remove, { recursive: true, force: true });
  }
}

/** Starts everything on a fresh folder (or the given one) and waits until it is ready. */
export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const remove =
    options.folder === undefined ? await mkdtemp(join(tmpdir(), "redoubt-e2e-")) : undefined;
  const folder = options.folder ?? join(remove ?? "", "data");
  const isPlain = !existsSync(folder) && options.leases !== true;
  try {
    for (let attempt = 1; ; attempt += 1) {
      const system = await tryStart(
        { ...options, folder, base: options.port ?? (await freeBasePort()), isPlain },
        remove,
      );
      if (system instanceof System) return system;
      const isUnlucky = options.port === undefined && / is taken/.test(system.stderr);
      if (!isUnlucky || attempt === PORT_ATTEMPTS)
        throw new Error(`Redoubt did not start: ${system.stderr.slice(-2000)}`);
    }
  } catch (error) {
    if (remove !== undefined) await rm(remove, { recursive: true, force: true });
    throw error;
  }
}

async function tryStart(
  {
    folder,
    base,
    isPlain,
    environment = {},
  }: Pick<SystemOptions, "environment"> & {
    readonly folder: string;
    readonly base: number;
    readonly isPlain: boolean;
  },
  remove: string | undefined,
): Promise<System | Ending> {
  const args = ["--json", "--data", folder, "up", "--port", String(base)];
  if (isPlain) args.push("--no-leases");
  const supervisor = new RedoubtProcess(args, { isTied: true, environment });
  try {
    const line = await supervisor.line((text) => text.includes('"ready":true'), START_TIMEOUT_MS);
    if (line === undefined) return await supervisor.ended;
    const announcement = parseAnnouncement(parseJsonObject(line));
    return new System({ folder, base, announcement, supervisor, remove });
  } catch (error) {
    supervisor.kill("SIGKILL");
    await supervisor.ended;
    throw error;
  }
}

function parseAnnouncement(object: JsonObject): Announcement {
  const reader = new MemberReader(object, "announcement");
  return {
    issuers: reader.array("issuers", 16).map((value) => {
      const issuer = new MemberReader(isJsonObject(value) ? value : {}, "issuer");
      return { realm: issuer.string("realm"), issuer: issuer.string("issuer") };
    }),
    status: reader.string("status"),
    token: reader.string("token", 4096),
    data: reader.string("data", 4096),
  };
}

/** Runs any `redoubt` command as a process and waits for its end. */
export function redoubt(args: readonly string[], input = ""): Promise<Ending> {
  const command = new RedoubtProcess(args);
  command.write(input);
  return command.ended;
}

/** Waits until none of the processes runs; says which still do after `timeoutMs`. */
export async function survivors(pids: readonly number[], timeoutMs: number): Promise<number[]> {
  const end = performance.now() + timeoutMs;
  let alive = pids.filter(isAlive);
  while (alive.length > 0 && performance.now() < end) {
    await pause(50);
    alive = alive.filter(isAlive);
  }
  return alive;
}
