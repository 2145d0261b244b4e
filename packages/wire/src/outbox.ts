import type { Socket } from "node:net";

/** Bytes that may wait for a peer that does not read; past it the connection is given up. */
export const MAX_PENDING_BYTES = 32 * 1024 * 1024;

/** Coalesces the frames of one event-loop turn into one write: a system call per turn, not per message. */
export class Outbox {
  readonly #socket: Socket;
  #frames: Buffer[] = [];
  #queuedBytes = 0;
  #scheduled = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that the system has not taken yet. */
  get pendingBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  send(frame: Buffer): void {
    if (this.#socket.destroyed) return;
    this.#frames.push(frame);
    this.#queuedBytes += frame.length;
    // THREAT-26: counted before the turn ends, in which many large answers may come together.
    if (this.pendingBytes > MAX_PENDING_BYTES) this.#socket.destroy();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  /** Writes what waits and then ends the connection. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }

  #flush(): void {
    this.#scheduled = false;
    const frames = this.#frames;
    this.#frames = [];
    this.#queuedBytes = 0;
    if (frames.length === 0 || this.#socket.destroyed) return;
    const [only] = frames;
    this.#socket.write(frames.length === 1 && only ? only : Buffer.concat(frames));
  }
}
