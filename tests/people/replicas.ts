import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { Secret } from "@redoubt/base";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { createSocketPlace, socketPlace } from "@redoubt/wire";
import { launch } from "../../apps/redoubt/src/up/launch.ts";
import { freeBasePort } from "../e2e/free-ports.ts";
import type { System } from "../e2e/system.ts";
import { until } from "../e2e/until.ts";

const ISSUER = "issuer-enterprise";
const CONFIG = join(ISSUER, "config.json");

interface ReplicaOptions {
  readonly folder: string;
  readonly port: number;
  readonly database: Secret;
}

/** One issuer in a folder of its own, started as the supervisor does. */
export class Replica implements AsyncDisposable {
  readonly port: number;
  readonly #options: ReplicaOptions;
  #child: ChildProcess | undefined;

  constructor(options: ReplicaOptions) {
    this.port = options.port;
    this.#options = options;
  }

  async start(): Promise<void> {
    const child = launch(ISSUER, this.#options.folder, this.#options.database);
    this.#child = child;
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        said = `${said}${chunk.toString()}`.slice(-4000);
      });
    const ended = once(child, "exit").then(() => {
      throw new Error(`A replica ended before it was ready: ${said}`);
    });
    await Promise.race([once(child, "message"), ended]);
    ended.catch(() => undefined);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** Two issuers of one realm behind the address of a system's own, which takes each request to the next of them. */
export class Replicas implements AsyncDisposable {
  readonly all: readonly Replica[];
  /** Answers of each. */
  readonly answered = new Map<number, number>();
  readonly #folder: string;
  readonly #server = createServer((asked, answer) => this.#forward(asked, answer));
  #turn = 0;

  private constructor(folder: string, all: readonly Replica[]) {
    this.#folder = folder;
    this.all = all;
  }

  /**
   * Moves the system's own issuer to another port, where nobody asks it, and starts two more.
   *
   * @param port that of the system's issuer
   */
  static async start(system: System, port: number, database: string): Promise<Replicas> {
    const base = await freeBasePort();
    const folder = `${system.folder}-replicas`;
    const pid = await system.pidOf(ISSUER);
    writeConfig(system.folder, system.folder, { port: base, replica: 1 });
    process.kill(pid, "SIGTERM");
    await until(
      "the system's own issuer is elsewhere",
      async () => (await system.status())[ISSUER],
      (seen) => seen?.["ready"] === true && seen["pid"] !== pid,
    );
    const all = [2, 3].map((replica) => {
      const own = join(folder, `r${replica}`);
      makeFolder(system.folder, own);
      writeConfig(system.folder, own, { port: base + replica, replica });
      return new Replica({ folder: own, port: base + replica, database: new Secret(database) });
    });
    const replicas = new Replicas(folder, all);
    replicas.#server.listen(port, "127.0.0.1");
    await once(replicas.#server, "listening");
    await Promise.all(all.map((replica) => replica.start()));
    return replicas;
  }

  get #next(): Replica {
    const replica = this.all[this.#turn % this.all.length];
    if (!replica) throw new TypeError("No replicas");
    return replica;
  }

  /** Makes it this one's turn. */
  turnTo(index: number): Replica {
    this.#turn = index;
    return this.#next;
  }

  #forward(asked: IncomingMessage, answer: ServerResponse): void {
    const { port } = this.#next;
    this.#turn += 1;
    const { method, url = "/", headers } = asked;
    const forwarded = request({
      host: "127.0.0.1",
      port,
      method,
      path: url,
      headers,
      agent: false,
    });
    forwarded.on("response", (response) => {
      this.answered.set(port, (this.answered.get(port) ?? 0) + 1);
      const { connection: _, "keep-alive": __, ...kept } = response.headers;
      answer.writeHead(response.statusCode ?? 502, kept);
      response.pipe(answer);
    });
    // As a proxy that knows no other: whoever asked sees a connection that breaks.
    forwarded.on("error", () => asked.socket.destroy());
    asked.pipe(forwarded);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await Promise.all(this.all.map((replica) => replica.kill()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What a replica's machine would have: its own folder, and places at which the realm's other services answer. */
function makeFolder(from: string, to: string): void {
  mkdirSync(join(to, ISSUER), { recursive: true, mode: 0o700 });
  for (const service of ["ledger", "monitor", "signer-enterprise"])
    symlinkSync(join(from, service), join(to, service));
  createSocketPlace(socketPlace(to, ISSUER, "operator"));
  cpSync(join(from, CONFIG), join(to, CONFIG));
}

function writeConfig(
  from: string,
  to: string,
  { port, replica }: { readonly port: number; readonly replica: number },
): void {
  const config = parseJsonObject(readFileSync(join(from, CONFIG)));
  const { http } = config;
  if (!isJsonObject(http)) throw new TypeError("No listener in the issuer's configuration");
  const moved = { ...config, http: { ...http, port }, replica };
  writeFileSync(join(to, CONFIG), JSON.stringify(moved), { mode: 0o600 });
}
