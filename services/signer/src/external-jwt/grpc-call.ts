import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { ServiceError } from "@redoubt/base";
import { frameMessage, UnaryMessage } from "./grpc-message.ts";
import { GRPC_STATUS, grpcStatusOf, parseTimeout, percentEncode } from "./grpc-status.ts";

/** One unary call: the bytes of its request in, those of its answer out. */
export type GrpcMethod = (message: Buffer) => Buffer | Promise<Buffer>;

export interface GrpcCallOptions {
  /** By path. */
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  readonly maxMessageBytes: number;
  /** From the first header to the last byte of the answer that the other side took. */
  readonly callTimeoutMs: number;
  /** Told of each call that is answered with an error. */
  readonly refused: (error: unknown) => void;
}

const CONTENT_TYPES: readonly (string | undefined)[] = [
  "application/grpc",
  "application/grpc+proto",
];
const ANSWER: OutgoingHttpHeaders = {
  ":status": 200,
  "content-type": "application/grpc+proto",
  "grpc-accept-encoding": "identity",
};

/** Serves one stream: every way through ends in one answer or in a reset, and within its time (THREAT-26). */
export class GrpcCall {
  readonly #stream: ServerHttp2Stream;
  readonly #options: GrpcCallOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: ServerHttp2Stream, options: GrpcCallOptions) {
    this.#stream = stream;
    this.#options = options;
    // A peer that resets or breaks off is not an event of this process; "close" follows.
    stream.on("error", () => stream.close());
    stream.on("close", () => clearTimeout(this.#timer));
  }

  serve(headers: IncomingHttpHeaders): void {
    const httpStatus = httpStatusOf(headers);
    if (httpStatus !== undefined) return this.#end({ ":status": httpStatus });
    try {
      this.#limitTime(headers);
      const method = this.#methodOf(headers);
      this.#receive(method);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #limitTime(headers: IncomingHttpHeaders): void {
    const { callTimeoutMs } = this.#options;
    const wantedMs = parseTimeout(one(headers["grpc-timeout"])) ?? callTimeoutMs;
    this.#timer = setTimeout(() => this.#timedOut(), Math.min(wantedMs, callTimeoutMs)).unref();
  }

  #methodOf(headers: IncomingHttpHeaders): GrpcMethod {
    const method = this.#options.methods.get(headers[":path"] ?? "");
    if (!method) throw new ServiceError("ERR_SIGNER_OP", "No such call here");
    const encoding = one(headers["grpc-encoding"]) ?? "identity";
    if (encoding !== "identity")
      throw new ServiceError("ERR_GRPC_COMPRESSED", "Compression is not offered");
    return method;
  }

  #receive(method: GrpcMethod): void {
    const stream = this.#stream;
    const message = new UnaryMessage(this.#options.maxMessageBytes);
    const attempt = (take: () => void): void => {
      if (stream.headersSent || stream.destroyed) return;
      try {
        take();
      } catch (error) {
        this.#refuse(error);
      }
    };
    stream.on("data", (chunk: Buffer) => attempt(() => message.push(chunk)));
    stream.on("end", () => attempt(() => void this.#answer(method, message.end())));
  }

  async #answer(method: GrpcMethod, message: Buffer): Promise<void> {
    try {
      const answer = await method(message);
      if (!this.#isOpen()) return;
      this.#stream.on("wantTrailers", () =>
        this.#stream.sendTrailers({ "grpc-status": String(GRPC_STATUS.ok) }),
      );
      this.#stream.respond(ANSWER, { waitForTrailers: true });
      this.#stream.end(frameMessage(answer));
    } catch (error) {
      this.#refuse(error);
    }
  }

  #refuse(error: unknown): void {
    this.#options.refused(error);
    const { status, message } = grpcStatusOf(error);
    this.#end({
      ...ANSWER,
      "grpc-status": String(status),
      "grpc-message": percentEncode(message),
    });
  }

  /** gRPC over HTTP/2, "Trailers-Only": one block of headers that ends the stream. */
  #end(headers: OutgoingHttpHeaders): void {
    if (!this.#isOpen()) return;
    this.#stream.respond(headers, { endStream: true });
    // RFC 9113 §8.1: a complete answer before the end of the request; the rest of it is not wanted.
    this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #timedOut(): void {
    // What was not taken in time is not kept for later.
    if (this.#stream.headersSent) this.#stream.close(constants.NGHTTP2_CANCEL);
    else this.#refuse(new ServiceError("ERR_GRPC_DEADLINE", "Call took too long"));
  }

  #isOpen(): boolean {
    const { destroyed, closed, headersSent } = this.#stream;
    return !destroyed && !closed && !headersSent;
  }
}

/** What is no gRPC call is answered as plain HTTP (gRPC over HTTP/2, "Requests"). */
function httpStatusOf(headers: IncomingHttpHeaders): number | undefined {
  if (headers[":method"] !== "POST") return constants.HTTP_STATUS_METHOD_NOT_ALLOWED;
  if (!CONTENT_TYPES.includes(headers["content-type"]))
    return constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE;
  return undefined;
}

/** A header given twice is malformed, whatever it is. */
function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join() : value;
}
