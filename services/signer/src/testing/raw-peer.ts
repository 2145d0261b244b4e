import { connect, type Socket } from "node:net";
import type { Secret } from "@redoubt/base";
import { FrameReader, type Frame } from "@redoubt/wire";

/** A caller that writes what bytes it likes: what an attacker who owns the issuer has (THREAT-04). */
export class RawPeer implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #frames: Frame[] = [];
  readonly #closed: Promise<void>;
  #wake: () => void = () => undefined;

  constructor(path: string) {
    this.#socket = connect({ path });
    this.#socket.on("error", () => this.#socket.destroy());
    this.#socket.on("data", (chunk: Buffer) => {
      this.#frames.push(...this.#reader.push(chunk));
      this.#wake();
    });
    this.#closed = new Promise((resolve) => {
      this.#socket.on("close", () => resolve());
    });
  }

  async greet(secret: Secret): Promise<void> {
    this.send(0, JSON.stringify({ op: "hello", v: 1, secret: secret.reveal() }));
    await this.frame();
  }

  send(id: number, head: string): void {
    this.#socket.write(frameOf(id, head));
  }

  /** The next frame, or undefined once the other side has closed. */
  async frame(): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.#socket.closed)
      await Promise.race([this.#closed, this.#news()]);
    return this.#frames.shift();
  }

  closed(): Promise<void> {
    return this.#closed;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }
}

/** docs/spec/wire.md §2, with a head that need not be JSON. */
function frameOf(id: number, head: string): Buffer {
  const bytes = Buffer.from(head, "utf8");
  const frame = Buffer.alloc(13 + bytes.length);
  frame.writeUInt32BE(9 + bytes.length, 0);
  frame.writeUInt8(1, 4);
  frame.writeUInt32BE(id, 5);
  frame.writeUInt32BE(bytes.length, 9);
  bytes.copy(frame, 13);
  return frame;
}
