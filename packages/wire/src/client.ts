import { connect, type Socket } from "node:net";
import { errorCode, type Secret, backOffMs } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { RemoteError, WireError } from "./errors.ts";
import { encodeFrame, FRAME_KIND, FrameReader, type Frame, type Head } from "./frame.ts";
import { MAX_PENDING_BYTES, Outbox } from "./outbox.ts";

export interface Reply {
  readonly head: JsonObject;
  readonly attachment: Buffer;
}

export interface ClientOptions {
  readonly path: string;
  readonly secret: Secret;
  /** How long an answer may take; the request is then given up, its effect unknown. Default 10 000. */
  readonly timeoutMs?: number;
  /** How long a request waits for a connection. Default 5000. */
  readonly connectTimeoutMs?: number;
  /** Longest pause between attempts to connect. Default 1000. */
  readonly maxRetryMs?: number;
  /** Requests without an answer at a time. Default 4096. */
  readonly maxInFlight?: number;
  /** Called when a connection that was up ends, with the number of requests that were under way. */
  readonly onClose?: (lost: number) => void;
  /** Called after each greeting, also the first. */
  readonly onOpen?: (greeting: JsonObject) => void;
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: number;
}

const TIMEOUT_MS = 10_000;
const MAX_SWEEP_MS = 500;
const MAX_WAITING = 4096;
const CODE = /^ERR_[A-Z0-9_]{1,60}$/;
const MAX_MESSAGE = 1024;
const FIRST_RETRY_MS = 20;
const MAX_RETRY_MS = 1000;

/**
 * A connection to one service that comes back by itself. Requests that were under way when it broke fail with
 * `ERR_WIRE_CLOSED`: only the caller knows whether repeating one is safe.
 */
export class SocketClient implements AsyncDisposable {
  readonly #options: ClientOptions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #socket: Socket | undefined;
  #outbox: Outbox | undefined;
  #greeted = false;
  #nextId = 1;
  #heard = 0;
  #failures = 0;
  #closed = false;
  #refusal = "no answer";
  #retry: NodeJS.Timeout | undefined;
  readonly #sweep: NodeJS.Timeout;

  constructor(options: ClientOptions) {
    this.#options = options;
    const sweepMs = Math.min(MAX_SWEEP_MS, Math.ceil((options.timeoutMs ?? TIMEOUT_MS) / 4));
    this.#sweep = setInterval(() => this.#expire(), sweepMs).unref();
    this.#connect();
  }

  get connected(): boolean {
    return this.#greeted;
  }

  /** Requests without an answer yet. */
  get inFlight(): number {
    return this.#waiting.size;
  }

  /** How many frames came, late answers and greetings too: while this number does not grow, the other side is silent. */
  get heard(): number {
    return this.#heard;
  }

  /**
   * @throws RemoteError if the other side refuses; WireError `ERR_WIRE_CLOSED`, `ERR_WIRE_TIMEOUT`: the request may have
   *   had an effect; WireError `ERR_WIRE_BUSY`, `ERR_WIRE_TOO_LARGE`: it was not sent
   */
  async request(head: Head, attachment?: Uint8Array): Promise<Reply> {
    if (!this.#greeted) await this.#connection();
    return this.#send(head, attachment);
  }

  /** Resolves once the other side has greeted us. */
  async #connection(): Promise<void> {
    const { connectTimeoutMs = 5000 } = this.#options;
    if (this.#closed) throw new WireError("ERR_WIRE_CLOSED", "Client is closed");
    if (this.#ready.length >= MAX_WAITING)
      throw new WireError("ERR_WIRE_BUSY", "Too many requests wait");
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        const place = this.#ready.indexOf(entry);
        if (place >= 0) this.#ready.splice(place, 1);
        const message = `No connection to ${this.#options.path}: ${this.#refusal}`;
        reject(new WireError("ERR_WIRE_CLOSED", message));
      }, connectTimeoutMs);
      const entry = {
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (error: Error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#ready.push(entry);
    });
  }

  #send(head: Head, attachment?: Uint8Array): Promise<Reply> {
    const { timeoutMs = TIMEOUT_MS, maxInFlight = MAX_WAITING } = this.#options;
    const outbox = this.#outbox;
    if (!outbox || !this.#greeted)
      return Promise.reject(new WireError("ERR_WIRE_CLOSED", "Connection is down"));
    if (this.#waiting.size >= maxInFlight)
      return Promise.reject(new WireError("ERR_WIRE_BUSY", "Too many requests under way"));
    return new Promise<Reply>((resolve, reject) => {
      const id = this.#takeId();
      const frame = encodeFrame(FRAME_KIND.request, id, head, attachment);
      // The other side has stopped reading: refusing this one keeps those that are under way.
      if (outbox.pendingBytes + frame.length > MAX_PENDING_BYTES)
        throw new WireError("ERR_WIRE_BUSY", "Too many bytes under way");
      this.#waiting.set(id, { resolve, reject, deadline: performance.now() + timeoutMs });
      outbox.send(frame);
    });
  }

  #takeId(): number {
    let id = this.#nextId;
    while (this.#waiting.has(id)) id = id >= 0xffff_ffff ? 1 : id + 1;
    this.#nextId = id >= 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  #connect(): void {
    const { path, secret } = this.#options;
    const socket = connect({ path });
    const reader = new FrameReader();
    const outbox = new Outbox(socket);
    this.#socket = socket;
    this.#outbox = outbox;
    socket.on("connect", () => {
      outbox.send(
        encodeFrame(FRAME_KIND.request, 0, { op: "hello", v: 1, secret: secret.reveal() }),
      );
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) this.#frame(frame);
      } catch (error) {
        // The other side broke the format: nothing of this connection can be trusted any more.
        this.#refusal = errorCode(error);
        socket.destroy();
      }
    });
    socket.on("error", (error) => {
      this.#refusal = errorCode(error);
      socket.destroy();
    });
    socket.on("close", () => this.#lost(socket));
  }

  #frame(frame: Frame): void {
    this.#heard += 1;
    if (frame.kind === FRAME_KIND.request || frame.kind === FRAME_KIND.notice)
      throw new WireError("ERR_WIRE_FRAME", "Only answers are taken here");
    if (frame.kind === FRAME_KIND.error && frame.id === 0) return this.#refused(frame);
    if (!this.#greeted) return this.#greeting(frame);
    const waiting = this.#waiting.get(frame.id);
    // An answer that came too late.
    if (!waiting) return;
    this.#waiting.delete(frame.id);
    if (frame.kind === FRAME_KIND.response)
      return waiting.resolve({ head: frame.head, attachment: frame.attachment });
    waiting.reject(remoteError(frame.head));
  }

  #greeting(frame: Frame): void {
    if (frame.kind !== FRAME_KIND.response || frame.id !== 0)
      throw new WireError("ERR_WIRE_HELLO", "The other side did not greet");
    this.#greeted = true;
    this.#failures = 0;
    this.#options.onOpen?.(frame.head);
    for (const { resolve } of this.#ready.splice(0)) resolve();
  }

  /** The other side gives this connection up and says why. */
  #refused(frame: Frame): void {
    this.#refusal = remoteError(frame.head).code;
    this.#socket?.destroy();
  }

  #lost(socket: Socket): void {
    if (this.#socket !== socket) return;
    const wasUp = this.#greeted;
    this.#greeted = false;
    this.#outbox = undefined;
    const lost = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of lost) reject(new WireError("ERR_WIRE_CLOSED", "Connection ended"));
    if (wasUp) this.#options.onClose?.(lost.length);
    if (this.#closed) return;
    this.#failures += 1;
    const { maxRetryMs: maxMs = MAX_RETRY_MS } = this.#options;
    const wait = backOffMs(this.#failures, { firstMs: FIRST_RETRY_MS, maxMs });
    this.#retry = setTimeout(() => this.#connect(), wait).unref();
  }

  #expire(): void {
    const now = performance.now();
    for (const [id, { reject, deadline }] of this.#waiting) {
      if (deadline > now) continue;
      this.#waiting.delete(id);
      reject(new WireError("ERR_WIRE_TIMEOUT", "No answer in time"));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#sweep);
    const socket = this.#socket;
    for (const { reject } of this.#ready.splice(0))
      reject(new WireError("ERR_WIRE_CLOSED", "Client is closed"));
    if (!socket || socket.closed) return;
    const closed = new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
    });
    socket.destroy();
    await closed;
  }
}

// The other side may be another process's mistake or worse: what goes into our logs is bounded.
function remoteError(head: JsonObject): RemoteError {
  const { code, message, ...details } = head;
  return new RemoteError(
    typeof code === "string" && CODE.test(code) ? code : "ERR_INTERNAL",
    typeof message === "string" ? message.slice(0, MAX_MESSAGE).toWellFormed() : "Refused",
    details,
  );
}
