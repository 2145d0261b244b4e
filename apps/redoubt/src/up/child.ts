import type { ChildProcess } from "node:child_process";
import { nowSeconds, systemClock, type Secret } from "@redoubt/base";
import type { ServiceName } from "../layout.ts";
import { launch } from "./launch.ts";

export interface ChildEvents {
  /** One line that a service wrote to stdout or stderr. */
  readonly onLine: (service: ServiceName, line: string) => void;
  readonly onReady: (service: ServiceName) => void;
  readonly onExit: (service: ServiceName, code: number | null, signal: string | null) => void;
}

const RESTART_MS = [50, 100, 250, 500, 1000, 2000] as const;
const STABLE_MS = 10_000;
const ANSWER_MS = 2000;

/** One supervised process: started again whenever it ends, until it is stopped. */
export class Child {
  readonly service: ServiceName;
  readonly #dataFolder: string;
  readonly #events: ChildEvents;
  readonly #database: Secret | undefined;
  #process: ChildProcess | undefined;
  #isReady = false;
  #isStopping = false;
  #restarts = 0;
  #failures = 0;
  #startedMs = 0;
  #startedAt: number | undefined;
  #nextId = 1;
  #timer: NodeJS.Timeout | undefined;
  readonly #asked = new Map<number, (answer: unknown) => void>();

  /** @param options `database`: of an issuer whose people are not in a file of its own */
  constructor(
    service: ServiceName,
    dataFolder: string,
    { database, ...events }: ChildEvents & { readonly database?: Secret | undefined },
  ) {
    this.service = service;
    this.#dataFolder = dataFolder;
    this.#events = events;
    this.#database = database;
  }

  get isReady(): boolean {
    return this.#isReady;
  }
  get pid(): number | undefined {
    return this.#process?.pid;
  }
  get restarts(): number {
    return this.#restarts;
  }
  /** POSIX seconds of the newest start. */
  get startedAt(): number | undefined {
    return this.#startedAt;
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#startedAt = nowSeconds(systemClock);
    const child = launch(this.service, this.#dataFolder, this.#database);
    this.#process = child;
    child.on("message", (message: unknown) => this.#message(message));
    child.on("error", () => undefined);
    for (const stream of [child.stdout, child.stderr])
      if (stream) splitLines(stream, (line) => this.#events.onLine(this.service, line));
    child.once("exit", (code, signal) => this.#ended(code, signal));
  }

  #message(message: unknown): void {
    if (typeof message !== "object" || message === null || !("type" in message)) return;
    if (message.type === "ready") {
      this.#isReady = true;
      this.#events.onReady(this.service);
    }
    if (!("id" in message) || typeof message.id !== "number") return;
    if (message.type !== "status" && message.type !== "metrics") return;
    this.#asked.get(message.id)?.(Reflect.get(message, message.type));
    this.#asked.delete(message.id);
  }

  #ended(code: number | null, signal: string | null): void {
    this.#isReady = false;
    this.#process = undefined;
    for (const answer of this.#asked.values()) answer(undefined);
    this.#asked.clear();
    this.#events.onExit(this.service, code, signal);
    if (this.#isStopping) return;
    this.#failures = performance.now() - this.#startedMs > STABLE_MS ? 0 : this.#failures + 1;
    const wait = RESTART_MS[Math.min(this.#failures, RESTART_MS.length - 1)];
    this.#timer = setTimeout(() => {
      this.#restarts += 1;
      this.start();
    }, wait);
  }

  /** What the service says of itself; undefined when it does not answer in time. */
  ask(type: "status" | "metrics", withinMs = ANSWER_MS): Promise<unknown> {
    const child = this.#process;
    if (!child?.connected) return Promise.resolve(undefined);
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#asked.delete(id);
        resolve(undefined);
      }, withinMs);
      this.#asked.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      child.send({ type, id }, () => undefined);
    });
  }

  /**
   * Ends the process: closes its channel, upon which it answers what is under way and exits; after `withinMs` by force.
   * Safe to call twice.
   */
  async stop(withinMs: number): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    const child = this.#process;
    if (!child) return;
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
    });
    if (child.connected) child.disconnect();
    const force = setTimeout(() => child.kill("SIGKILL"), withinMs);
    await ended;
    clearTimeout(force);
  }
}

const MAX_LINE = 64 * 1024;

function splitLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = (lines.pop() ?? "").slice(-MAX_LINE);
    for (const line of lines) if (line !== "") onLine(line.slice(0, MAX_LINE));
  });
}
