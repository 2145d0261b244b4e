import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { PATHS } from "./cluster.ts";

/** What came back on one stream, whatever it was. */
export interface RawAnswer {
  readonly httpStatus: number | undefined;
  readonly grpcStatus: string | undefined;
  readonly body: Buffer;
  /** How the stream ended, as an HTTP/2 error code. */
  readonly reset: number;
}

export const GRPC_HEADERS: OutgoingHttpHeaders = {
  ":method": "POST",
  ":path": PATHS.sign,
  "content-type": "application/grpc",
  te: "trailers",
};

/** A client that sends what headers and bytes it likes: what an attacker who owns kube-apiserver's host has. */
export class RawClient implements AsyncDisposable {
  readonly session: ClientHttp2Session;
  readonly socket: Socket;

  constructor(path: string, options: ClientSessionOptions = {}) {
    this.socket = connectSocket({ path });
    this.session = connect("http://localhost", { ...options, createConnection: () => this.socket });
    this.session.on("error", () => undefined);
  }

  /** Opens a stream and leaves it open. */
  open(headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
    const stream = this.session.request({ ...GRPC_HEADERS, ...headers }, { endStream: false });
    stream.on("error", () => undefined);
    return stream;
  }

  async ask(bytes: Buffer, headers: OutgoingHttpHeaders = {}): Promise<RawAnswer> {
    const stream = this.open(headers);
    stream.end(bytes);
    return answerOf(stream);
  }

  closed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.closed) resolve();
      else this.socket.on("close", () => resolve());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.destroy();
    this.socket.destroy();
    await this.closed();
  }
}

export function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  let head: IncomingHttpHeaders = {};
  stream.on("response", (headers) => {
    head = { ...head, ...headers };
  });
  stream.on("trailers", (headers: IncomingHttpHeaders) => {
    head = { ...head, ...headers };
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    stream.on("close", () =>
      resolve({
        httpStatus: Number(head[":status"]) || undefined,
        grpcStatus: head["grpc-status"]?.toString(),
        body: Buffer.concat(chunks),
        reset: stream.rstCode ?? constants.NGHTTP2_NO_ERROR,
      }),
    );
  });
}
