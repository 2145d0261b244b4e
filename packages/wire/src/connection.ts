import type { Socket } from "node:net";
import { errorCode, MemberReader, type EventSink, type Secret } from "@redoubt/base";
import type { WireEvent } from "./events.ts";
import type { JsonObject } from "@redoubt/verify/json";
import { encodeError } from "./error-head.ts";
import { WireError } from "./errors.ts";
import { encodeFrame, FRAME_KIND, FrameReader, type Frame, type Head } from "./frame.ts";
import { Outbox } from "./outbox.ts";

/** A request as a handler sees it: the caller is what the socket says, never what the message says. */
export interface Call {
  readonly caller: string;
  readonly op: string;
  /** Everything of the request but `op`. */
  readonly head: JsonObject;
  readonly attachment: Buffer;
}

export interface Answer {
  readonly head: Head;
  readonly attachment?: Uint8Array;
}

export type Handler = (call: Call) => Answer | Promise<Answer>;

export interface ConnectionOptions {
  readonly caller: string;
  readonly secret: Secret;
  readonly service: string;
  readonly instance: string;
  readonly handler: Handler;
  readonly sink: EventSink<WireEvent>;
  readonly maxFrameBytes?: number;
  readonly maxInFlight?: number;
}

// THREAT-26: what one caller can make this process hold, beside the frame that is being read.
const MAX_IN_FLIGHT = 1024;
const MAX_ATTACHED_BYTES = 16 * 1024 * 1024;
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const CLOSE_MS = 250;

/** The server's end of one connection (docs/spec/wire.md §2). */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #reader: FrameReader;
  readonly #outbox: Outbox;
  readonly #maxInFlight: number;
  readonly #ids = new Set<number>();
  /** Frames of the last chunk that there was no room for. */
  readonly #queue: Frame[] = [];
  #inFlight = 0;
  #attachedBytes = 0;
  #greeted = false;
  #closed = false;
  #isDraining = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new FrameReader(options.maxFrameBytes);
    this.#outbox = new Outbox(socket);
    this.#maxInFlight = options.maxInFlight ?? MAX_IN_FLIGHT;
  }

  data(chunk: Buffer): void {
    if (this.#closed) return;
    try {
      this.#queue.push(...this.#reader.push(chunk));
    } catch (error) {
      this.#giveUp(error);
    }
    this.regulate();
  }

  helloTimeout(): void {
    if (!this.#greeted) this.#giveUp(new WireError("ERR_WIRE_HELLO", "No greeting in time"));
  }

  /** Answers what is under way, refuses what still comes, and then ends the connection. */
  drain(): void {
    this.#isDraining = true;
    this.#endWhenAnswered();
  }

  #endWhenAnswered(): void {
    if (!this.#isDraining || this.#closed || this.#inFlight + this.#queue.length > 0) return;
    this.#end();
  }

  /** Takes frames, and reads on, only while there is room and the other side takes our answers. */
  regulate(): void {
    this.#takeQueued();
    const mustWait = this.#isFull() || this.#queue.length > 0;
    if (mustWait === this.#socket.isPaused()) return;
    if (mustWait) this.#socket.pause();
    else this.#socket.resume();
  }

  #isFull(): boolean {
    return (
      this.#closed ||
      this.#inFlight >= this.#maxInFlight ||
      this.#attachedBytes >= MAX_ATTACHED_BYTES ||
      this.#outbox.pendingBytes >= MAX_UNREAD_BYTES
    );
  }

  #takeQueued(): void {
    try {
      while (!this.#isFull()) {
        const frame = this.#queue.shift();
        if (!frame) return;
        this.#frame(frame);
      }
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #frame(frame: Frame): void {
    if (!this.#greeted) return this.#hello(frame);
    if (frame.kind !== FRAME_KIND.request && frame.kind !== FRAME_KIND.notice)
      throw new WireError("ERR_WIRE_FRAME", "Only requests and notices are taken here");
    if (this.#isDraining) return this.#refuse(frame);
    if (frame.kind === FRAME_KIND.request) {
      if (this.#ids.has(frame.id)) throw new WireError("ERR_WIRE_FRAME", "Request id is in use");
      this.#ids.add(frame.id);
    }
    // A notice counts too: nothing else would bound how many are under way.
    this.#inFlight += 1;
    this.#attachedBytes += frame.attachment.length;
    void this.#handle(frame);
  }

  #refuse({ kind, id }: Frame): void {
    if (kind === FRAME_KIND.notice) return;
    const head = {
      code: "ERR_WIRE_STOPPING",
      message: "Service is stopping",
      retryAfterSeconds: 1,
    };
    this.#outbox.send(encodeFrame(FRAME_KIND.error, id, head));
  }

  // THREAT-32: the socket says who calls, and the secret of its folder proves it. Every refusal looks alike.
  #hello(frame: Frame): void {
    const { service, caller, instance } = this.#options;
    if (frame.kind !== FRAME_KIND.request || !isGreeting(frame.head, this.#options.secret))
      throw new WireError("ERR_WIRE_HELLO", "Greeting refused");
    this.#greeted = true;
    this.#outbox.send(encodeFrame(FRAME_KIND.response, frame.id, { service, caller, instance }));
  }

  async #handle(frame: Frame): Promise<void> {
    const reply = await answer(frame, this.#options);
    this.#inFlight -= 1;
    this.#attachedBytes -= frame.attachment.length;
    if (frame.kind === FRAME_KIND.request) {
      this.#ids.delete(frame.id);
      if (!this.#closed) this.#outbox.send(reply);
    }
    this.regulate();
    this.#endWhenAnswered();
  }

  #giveUp(error: unknown): void {
    if (this.#closed) return;
    const { sink, caller } = this.#options;
    sink("connection_refused", { caller, code: errorCode(error) });
    const head = { code: errorCode(error), message: "Connection refused" };
    this.#outbox.send(encodeFrame(FRAME_KIND.error, 0, head));
    this.#end();
    this.#cutSoon();
  }

  #end(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#outbox.end();
    this.#socket.destroySoon();
  }

  #cutSoon(): void {
    // A peer that reads nothing would keep its place for ever.
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_MS).unref();
    this.#socket.on("close", () => clearTimeout(timer));
  }
}

function isGreeting(head: JsonObject, secret: Secret): boolean {
  try {
    const reader = new MemberReader(head, "hello");
    reader.oneOf("op", ["hello"]);
    reader.integer("v", 1, 1);
    const given = reader.string("secret", 128);
    reader.done();
    return secret.equals(given);
  } catch {
    return false;
  }
}

/** Never throws: whatever the handler does, this gives one frame for the caller, and the process goes on. */
async function answer(frame: Frame, options: ConnectionOptions): Promise<Buffer> {
  try {
    const { op, ...head } = frame.head;
    if (typeof op !== "string" || op === "") throw refuseRequest(options);
    const call = { caller: options.caller, op, head, attachment: frame.attachment };
    const { head: answerHead, attachment } = await options.handler(call);
    return encodeFrame(FRAME_KIND.response, frame.id, answerHead, attachment);
  } catch (error) {
    return encodeError(frame.id, error, options);
  }
}

/** THREAT-04: no handler sees this request, so this event is all that a service has to count and alarm by. */
function refuseRequest({ caller, sink }: ConnectionOptions): WireError {
  const error = new WireError("ERR_WIRE_FRAME", "No op");
  sink("request_refused", { caller, code: error.code });
  return error;
}
