import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import type { EventSink } from "@redoubt/base";
import { TestEvents } from "@redoubt/testkit";
import { createSocketPlace, socketPlace, type SocketPlace } from "@redoubt/wire";
import { parseConfig } from "../config.ts";
import { openLink, type Link } from "../context.ts";
import { initialiseLink, type LinkAlgorithm } from "../identity.ts";
import type { LinkLimits } from "../limits.ts";

export const PAIR = { service: "ledger", caller: "issuer" } as const;

export interface Said {
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One machine: a data folder with a link's key, and with the place of one socket. */
export class Machine implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "redoubt-link-"));
  readonly folder: string = join(this.root, "link");
  readonly place: SocketPlace = socketPlace(this.root, PAIR.service, PAIR.caller);
  readonly events: TestEvents<Said> = new TestEvents<Said>();
  readonly #owned = new AsyncDisposableStack();
  readonly #identities = new Map<string, string>();

  constructor() {
    mkdirSync(join(this.root, PAIR.service), { mode: 0o700 });
    createSocketPlace(this.place);
  }

  readonly sink: EventSink = (name, fields = {}) => this.events.add({ name, fields });

  pin(name = "link", algorithm: LinkAlgorithm = "Ed25519"): string {
    const known = this.#identities.get(name);
    if (known !== undefined) return known;
    const { pin } = initialiseLink(this.folder, { name, algorithm });
    this.#identities.set(name, pin);
    return pin;
  }

  async open(config: object, limits: Partial<LinkLimits> = {}): Promise<Link> {
    this.pin();
    const whole = { v: 1, identity: "link", listen: null, peers: [], connect: [], ...config };
    const link = await openLink({
      config: parseConfig(Buffer.from(JSON.stringify(whole))),
      folder: this.folder,
      root: this.root,
      sink: this.sink,
      limits,
    });
    this.#owned.use(link);
    return link;
  }

  /** Stands at the service's place, in plain bytes. */
  async serve(onSocket: (socket: Socket) => void): Promise<Server> {
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      onSocket(socket);
    });
    server.listen(this.place.path);
    await once(server, "listening");
    this.#owned.defer(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return server;
  }

  /** A peer that does what it likes, with this machine's key unless told otherwise. */
  dial(port: number | null, options: ConnectionOptions = {}): RawPeer {
    this.pin();
    const key = readFileSync(join(this.folder, "link.key"));
    const cert = readFileSync(join(this.folder, "link.pem"));
    const own = { key, cert, rejectUnauthorized: false, servername: "" };
    const peer = new RawPeer(connect({ host: "127.0.0.1", port: port ?? 0, ...own, ...options }));
    this.#owned.defer(() => void peer.socket.destroy());
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
    rmSync(this.root, { recursive: true });
  }
}

export class RawPeer {
  readonly socket: TLSSocket;
  readonly closed: Promise<void>;
  #text = "";

  constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => (this.#text += chunk.toString("latin1")));
    this.closed = new Promise((resolve) => {
      socket.on("close", () => resolve());
    });
  }

  /** Everything that the other side has said. */
  get text(): string {
    return this.#text;
  }
}

/** The service's machine and the caller's, joined by two links. */
export class TwoMachines implements AsyncDisposable {
  readonly service: Machine = new Machine();
  readonly caller: Machine = new Machine();
  port = 0;

  /** Opens the link on the service's machine; at the same port when it is opened again. */
  async openService(peer: object = {}, limits: Partial<LinkLimits> = {}): Promise<Link> {
    const known = { name: "caller", pins: [this.caller.pin()], services: [PAIR], ...peer };
    const link = await this.service.open(
      { listen: { host: "127.0.0.1", port: this.port }, peers: [known] },
      limits,
    );
    this.port = link.port ?? 0;
    return link;
  }

  async openCaller(peer: object = {}, limits: Partial<LinkLimits> = {}): Promise<Link> {
    const address = { host: "127.0.0.1", port: this.port };
    const known = { name: "service", pins: [this.service.pin()], address, services: [], ...peer };
    return this.caller.open({ peers: [known], connect: [{ ...PAIR, peer: "service" }] }, limits);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.caller[Symbol.asyncDispose]();
    await this.service[Symbol.asyncDispose]();
  }
}
