import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventSink, Secret } from "@redoubt/base";
import { SocketClient, type ClientOptions } from "../client.ts";
import type { Handler } from "../connection.ts";
import { encodeFrame, FRAME_KIND, FrameReader, type Frame, type Head } from "../frame.ts";
import { createSocketPlace, socketPlace, type SocketPlace } from "../place.ts";
import { serveSocket, type SocketOptions } from "../server.ts";

/** A service in a folder of its own, with everything that it logged. */
export class Fixture implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), "redoubt-wire-"));
  readonly place: SocketPlace;
  readonly secret: Secret;
  readonly events: { name: string; fields: Readonly<Record<string, unknown>> }[] = [];
  readonly #open: AsyncDisposable[] = [];

  constructor(caller = "issuer") {
    this.place = socketPlace(this.root, "signer", caller);
    this.secret = createSocketPlace(this.place);
  }

  readonly sink: EventSink = (name, fields = {}) => {
    this.events.push({ name, fields });
  };

  async serve(handler: Handler, options: Partial<SocketOptions> = {}): Promise<AsyncDisposable> {
    const server = await serveSocket({
      path: this.place.path,
      caller: "issuer",
      secret: this.secret,
      service: "signer",
      instance: "i1",
      handler,
      sink: this.sink,
      ...options,
    });
    this.#open.push(server);
    return server;
  }

  client(options: Partial<ClientOptions> = {}): SocketClient {
    const client = new SocketClient({ path: this.place.path, secret: this.secret, ...options });
    this.#open.push(client);
    return client;
  }

  /** A peer that writes what it likes; greeted unless told not to be. */
  async peer(options: { readonly greet: boolean } = { greet: true }): Promise<RawPeer> {
    const peer = new RawPeer(this.place.path);
    this.#open.push(peer);
    if (!options.greet) return peer;
    peer.send(FRAME_KIND.request, 0, { op: "hello", v: 1, secret: this.secret.reveal() });
    await peer.frame();
    return peer;
  }

  /** A service that speaks the frames but not the rules. */
  async misbehave(answer: (socket: Socket, id: number) => void): Promise<void> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      const reader = new FrameReader();
      socket.on("error", () => socket.destroy());
      socket.on("data", (chunk: Buffer) => {
        for (const { id } of reader.push(chunk)) answer(socket, id);
      });
    });
    server.listen(this.place.path);
    await once(server, "listening");
    const stop = async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    };
    this.#open.push({ [Symbol.asyncDispose]: stop });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const open of this.#open.toReversed()) await open[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true });
  }
}

export class RawPeer implements AsyncDisposable {
  readonly socket: Socket;
  readonly #reader = new FrameReader();
  readonly #frames: Frame[] = [];
  readonly #closed: Promise<void>;

  constructor(path: string) {
    this.socket = connect({ path });
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("data", (chunk: Buffer) => {
      this.#frames.push(...this.#reader.push(chunk));
      this.socket.emit("frame");
    });
    this.#closed = new Promise((resolve) => {
      this.socket.on("close", () => resolve());
    });
  }

  send(kind: 1 | 2 | 3 | 4, id: number, head: Head, attachment?: Uint8Array): void {
    this.socket.write(encodeFrame(kind, id, head, attachment));
  }

  /** The next frame, or undefined once the other side has closed. */
  async frame(): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.socket.closed)
      await new Promise<void>((resolve) => {
        this.socket.once("frame", resolve);
        void this.#closed.then(resolve);
      });
    return this.#frames.shift();
  }

  async closed(): Promise<void> {
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.#closed;
  }
}

/** Calls that wait until the test lets them go. */
export class Gate {
  readonly waiting: (() => void)[] = [];
  #arrived: (() => void)[] = [];
  #isOpen = false;

  pass(): Promise<void> {
    if (this.#isOpen) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      for (const wake of this.#arrived.splice(0)) wake();
    });
  }

  async until(count: number): Promise<void> {
    while (this.waiting.length < count)
      await new Promise<void>((resolve) => {
        this.#arrived.push(resolve);
      });
  }

  /** Lets go who waits, and everybody who comes later. */
  open(): void {
    this.#isOpen = true;
    this.openAll();
  }

  /** Lets go who waits now. */
  openAll(): void {
    for (const go of this.waiting.splice(0)) go();
  }
}

/** Lets everything that is ready in this process happen, also through the kernel. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i += 1)
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
}
