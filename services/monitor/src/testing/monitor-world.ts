import { mkdtempSync, rmSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spaceOf, type Clock } from "@redoubt/base";
import { requesterOf, type FakeLedger } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { createSocketPlace, readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { parseConfig } from "../config.ts";
import { openMonitor, type Monitor, type MonitorOptions } from "../context.ts";
import { initialise, type MonitorKeys } from "../initialise.ts";
import type { HttpAnswer, HttpOptions } from "../sockets/outgoing-http.ts";
import { Database } from "../store/database.ts";
import { Deployment, signedAs, START_SECONDS } from "./deployment.ts";

export class FakeClock implements Clock {
  #ms = 0;
  now(): number {
    return START_SECONDS * 1000 + this.#ms;
  }
  monotonic(): number {
    return this.#ms;
  }
  advance(ms: number): void {
    this.#ms += ms;
  }
}

export interface Answered {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

const CALLERS = [
  "operator",
  "issuer-consumer",
  "issuer-enterprise",
  "kube-front-enterprise",
  "signer-enterprise",
  "broker",
];

/** A monitor in a folder of its own, with a ledger, a publisher and a clock that belong to the test. */
export class MonitorWorld implements AsyncDisposable {
  readonly deployment = new Deployment();
  readonly clock = new FakeClock();
  readonly events: { name: string; fields: Readonly<Record<string, unknown>> }[] = [];
  /** What answers outgoing requests, by path. */
  readonly pages = new Map<string, Buffer | number>();
  /** Called before an outgoing request is answered. */
  onRequest: (path: string) => void = () => undefined;
  /** Of the HTTP port, for the next start. */
  httpLimits: NonNullable<MonitorOptions["httpLimits"]> = {};
  /** Of a disk of 100 GB. */
  freeBytes = 5e10;
  /** Pages that the database may have, from now on and after each opening. */
  #maxPages = 1_000_000;
  readonly posts: { url: string; options: HttpOptions }[] = [];
  root = mkdtempSync(join(tmpdir(), "monitor-"));
  keys: MonitorKeys = { witness: "", ack: "", eventKey: "" };
  readonly #roots = [this.root];
  readonly #clients: SocketClient[] = [];
  #monitor: Monitor | undefined;
  #database: Database | undefined;

  static async open(
    config: Record<string, unknown> = {},
    prepare: (world: MonitorWorld) => void = () => undefined,
  ): Promise<MonitorWorld> {
    const world = new MonitorWorld();
    world.keys = await initialise(join(world.root, "monitor"));
    prepare(world);
    await world.start(config);
    await world.tick();
    return world;
  }

  get monitor(): Monitor {
    if (!this.#monitor) throw new TypeError("Monitor is not running");
    return this.#monitor;
  }

  get ledger(): FakeLedger {
    return this.deployment.ledger;
  }

  async start(
    config: Record<string, unknown> = {},
    ledger: FakeLedger | "socket" = this.ledger,
  ): Promise<void> {
    for (const caller of CALLERS) this.preparePlace("monitor", caller);
    const json = { ...this.deployment.config, callers: CALLERS, ...config };
    this.#monitor = await openMonitor({
      config: parseConfig(parseJsonObject(JSON.stringify(json))),
      folder: join(this.root, "monitor"),
      root: this.root,
      clock: this.clock,
      sink: (name, fields = {}) => this.events.push({ name, fields }),
      ...(ledger !== "socket" && { ledger: requesterOf(ledger.handler, "monitor") }),
      httpLimits: this.httpLimits,
      random: () => 0.5,
      request: (url, options) => this.#answer(url, options),
      every: () => ({ [Symbol.dispose]: () => undefined }),
      openDatabase: (path) => {
        this.#database = new Database(path);
        this.#limitPages();
        return this.#database;
      },
      readSpace: () => spaceOf(this.freeBytes, 1e11),
    });
  }

  /** From now on the database cannot grow; or it can, from its next opening on. */
  fillDisk(isFull: boolean): void {
    this.freeBytes = isFull ? 0 : 5e10;
    this.#maxPages = isFull ? 1 : 1_000_000;
    if (isFull) this.#limitPages();
  }

  /** SQLite takes the size that there is where the limit is smaller. */
  #limitPages(): void {
    this.#database?.prepare(`PRAGMA max_page_count = ${this.#maxPages}`).get();
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client[Symbol.asyncDispose]();
    await this.#monitor?.[Symbol.asyncDispose]();
    this.#monitor = undefined;
  }

  /** As after `kill -9`: what is on the disk now goes on in another folder. */
  async crash(copy: (from: string, to: string) => void): Promise<void> {
    const next = mkdtempSync(join(tmpdir(), "monitor-"));
    this.#roots.push(next);
    copy(this.root, next);
    await this.stop();
    this.root = next;
  }

  async tick(ms = 500): Promise<void> {
    this.clock.advance(ms);
    await this.monitor.tick();
    await this.monitor.settled();
  }

  async tickFor(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) await this.tick(1000);
  }

  /** Makes a caller's folder and secret, as the supervisor does. */
  preparePlace(service: string, caller: string): void {
    createSocketPlace(socketPlace(this.root, service, caller));
  }

  client(caller: string): SocketClient {
    const place = socketPlace(this.root, "monitor", caller);
    const client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
    this.#clients.push(client);
    return client;
  }

  /** Sends to the socket, and ticks until the answer is there. */
  async ask(caller: string, head: Record<string, unknown>): Promise<JsonObject> {
    const client = this.client(caller);
    const answer = client.request(head);
    const settled = answer.then(
      () => true,
      () => true,
    );
    while (!(await Promise.race([settled, later()]))) await this.tick(1);
    return (await answer).head;
  }

  deliver(
    caller: string,
    digests: readonly Buffer[],
    { session = "session-1", seq = 1, ...rest }: Record<string, unknown> = {},
  ): Promise<JsonObject> {
    const texts = digests.map(encodeBase64url);
    return this.ask(caller, { op: "delivered", session, seq, digests: texts, ...rest });
  }

  async alarms(kind?: string): Promise<JsonObject[]> {
    const { alarms } = await this.ask("operator", { op: "alarms", limit: 1000 });
    if (!Array.isArray(alarms)) throw new TypeError("No alarms in the answer");
    return alarms.filter((alarm) => kind === undefined || alarm.kind === kind);
  }

  /** Asks the witness to cosign, as C2SP tlog-witness says. */
  submit(note: string, oldSize = 0, proof: readonly Buffer[] = []): Promise<Answered> {
    const lines = proof.map((node) => `${node.toString("base64")}\n`).join("");
    return this.post("/add-checkpoint", `old ${oldSize}\n${lines}\n${note}`);
  }

  post(
    path: string,
    body: string | Uint8Array,
    headers: Record<string, string> = {},
    method = "POST",
  ): Promise<Answered> {
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    const options = {
      host: "127.0.0.1",
      port: this.monitor.port,
      path,
      method,
      headers,
      agent: false,
    };
    const request = requestHttp(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString("utf8"),
          headers: response.headers,
        }),
      );
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
    return promise;
  }

  /** Posts what a reporter signs now. */
  postAs(
    reporter: string,
    path: string,
    body: string | Uint8Array,
    secret?: string,
  ): Promise<Answered> {
    return this.post(path, body, signedAs(reporter, path, body, this.clock.now(), secret));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    for (const root of this.#roots) rmSync(root, { recursive: true, force: true });
  }

  async #answer(url: string, options: HttpOptions): Promise<HttpAnswer> {
    this.onRequest(new URL(url).pathname);
    if (options.method === "POST") this.posts.push({ url, options });
    const page = this.pages.get(new URL(url).pathname) ?? 404;
    if (page === 0) throw new Error("no connection");
    const body = typeof page === "number" ? Buffer.alloc(0) : page;
    return { status: typeof page === "number" ? page : 200, body, truncated: false };
  }
}

function later(): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), 2);
  });
}
