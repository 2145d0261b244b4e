import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { errorCode, errorLine, ServiceError, type EventSink } from "@redoubt/base";
import { HttpError } from "./errors.ts";
import { jsonAnswer, problemAnswer, type HttpAnswer, type HttpRequest } from "./message.ts";

export interface HttpLimits {
  /** All header lines of a request together. */
  readonly headerBytes: number;
  readonly bodyBytes: number;
  /** From the first byte, or from the connection where none comes, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** The same, to the end of the body. */
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** A connection on which nothing moves, an answer that nobody reads included. */
  readonly idleTimeoutMs: number;
  /** How often the two request limits are enforced; Node's own default is 30 s. */
  readonly checkIntervalMs: number;
  readonly connections: number;
  /** Requests under way, pipelined ones included. */
  readonly inFlight: number;
  /** How long requests under way may take at shutdown. */
  readonly graceMs: number;
}

export const DEFAULT_LIMITS: HttpLimits = {
  headerBytes: 8192,
  bodyBytes: 16_384,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 10_000,
  idleTimeoutMs: 15_000,
  checkIntervalMs: 1000,
  connections: 1024,
  inFlight: 4096,
  graceMs: 5000,
};

export interface HttpOptions {
  /** 0 takes a free port. */
  readonly port: number;
  readonly handler: (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;
  readonly log: EventSink;
  /** Answered at `GET /health`. */
  readonly ready: () => boolean;
  readonly limits?: Partial<HttpLimits>;
}

const ADDRESS = "127.0.0.1";
const NO_BODY = Buffer.alloc(0);
const INTERNAL = { status: 500, code: "ERR_INTERNAL", title: "Internal error" };

/** Listens on the loopback address only: what faces a network stands in front of it. */
export async function serveHttp(options: HttpOptions): Promise<HttpServer> {
  const server = new HttpServer(options);
  await server.listen(options.port);
  return server;
}

/** A node:http server whose every input is bounded in bytes, count and time (P12, THREAT-26). */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpOptions;
  readonly #limits: HttpLimits;
  readonly #server: Server;
  // Request ids are names for the log, not secrets: random per process, then counted.
  readonly #idPrefix = randomBytes(6).toString("base64url");
  #requests = 0;
  #dropped = 0;
  #inFlight = 0;
  #drained: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: HttpOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#options = options;
    this.#limits = limits;
    this.#server = createServer({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
    });
    // 0 is "all": Node would otherwise drop the headers past the bound in silence; the bound is on their bytes.
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = limits.connections;
    this.#server.setTimeout(limits.idleTimeoutMs);
    this.#server.on("drop", () => (this.#dropped += 1));
    this.#server.on("request", (request, response) => this.#receive(request, response));
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string")
      throw new ServiceError("ERR_HTTP_CLOSED", "HTTP server is not listening");
    return address.port;
  }

  /** For the status page. */
  counts(): { readonly requests: number; readonly dropped: number; readonly inFlight: number } {
    return { requests: this.#requests, dropped: this.#dropped, inFlight: this.#inFlight };
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = (cause: Error): void => {
        reject(
          new ServiceError("ERR_HTTP_LISTEN", `Cannot listen on ${ADDRESS}:${port}`, { cause }),
        );
      };
      this.#server.once("error", refuse);
      this.#server.listen({ host: ADDRESS, port }, () => {
        this.#server.off("error", refuse);
        resolve();
      });
    });
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    this.#requests += 1;
    const id = `${this.#idPrefix}-${this.#requests.toString(36)}`;
    const { headers, method } = request;
    const length = headers["content-length"];
    const hasBody = headers["transfer-encoding"] !== undefined || (length ?? "0") !== "0";
    if (!hasBody) return this.#run(request, response, id, NO_BODY);
    // RFC 9110 §9.3.1: such a body has no meaning, and proxies disagree about where it ends.
    if (method === "GET" || method === "HEAD")
      return this.#refuse(response, id, new HttpError("ERR_HTTP_HEADER", `${method} has a body`));
    if (Number(length) > this.#limits.bodyBytes) return this.#refuse(response, id, tooLarge());
    this.#collect(request, response, id);
  }

  #collect(request: IncomingMessage, response: ServerResponse, id: string): void {
    let chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= this.#limits.bodyBytes) chunks.push(chunk);
      else if (!response.headersSent) {
        chunks = [];
        this.#refuse(response, id, tooLarge());
      }
    });
    request.on("end", () => {
      if (response.headersSent) return;
      const [only = NO_BODY] = chunks;
      this.#run(request, response, id, chunks.length <= 1 ? only : Buffer.concat(chunks, size));
    });
  }

  /** Answers without having read the rest, which makes the connection useless for another request. */
  #refuse(response: ServerResponse, id: string, error: HttpError): void {
    response.shouldKeepAlive = false;
    this.#send(response, id, errorAnswer(error, id));
  }

  #run(message: IncomingMessage, response: ServerResponse, id: string, body: Buffer): void {
    const url = message.url ?? "/";
    const question = url.indexOf("?");
    const request: HttpRequest = {
      method: message.method ?? "",
      path: question < 0 ? url : url.slice(0, question),
      query: question < 0 ? "" : url.slice(question + 1),
      headers: message.headers,
      rawHeaders: message.rawHeaders,
      address: message.socket.remoteAddress ?? "",
      id,
      body,
    };
    this.#inFlight += 1;
    const answer = this.#answer(request);
    if (answer instanceof Promise) void this.#sendLater(response, id, answer);
    else this.#finish(response, id, answer);
  }

  #answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    try {
      if (request.path === "/health") return this.#health(request);
      if (this.#inFlight > this.#limits.inFlight)
        throw new HttpError("ERR_HTTP_BUSY", "Too many requests", {
          headers: ["retry-after", "1"],
        });
      return this.#options.handler(request);
    } catch (error) {
      return this.#failure(error, request.id);
    }
  }

  async #sendLater(
    response: ServerResponse,
    id: string,
    pending: Promise<HttpAnswer>,
  ): Promise<void> {
    let answer: HttpAnswer;
    try {
      answer = await pending;
    } catch (error) {
      answer = this.#failure(error, id);
    }
    this.#finish(response, id, answer);
  }

  #finish(response: ServerResponse, id: string, answer: HttpAnswer): void {
    this.#inFlight -= 1;
    this.#send(response, id, answer);
    if (this.#inFlight === 0) this.#drained?.();
  }

  #send(response: ServerResponse, id: string, { status, headers, body }: HttpAnswer): void {
    // The client may be gone.
    if (response.destroyed) return;
    if (this.#closing) response.shouldKeepAlive = false;
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    const lines = [...headers, "x-request-id", id];
    // RFC 9110 §8.6: on 304 the length would be that of the body which is not sent.
    if (status !== 304) lines.push("content-length", String(length));
    response.writeHead(status, lines);
    // A string leaves in one write with the headers; where it is ASCII, without another encoding.
    if (typeof body === "string" && body.length === length) response.end(body, "latin1");
    else response.end(body);
  }

  #health({ method }: HttpRequest): HttpAnswer {
    if (method !== "GET" && method !== "HEAD")
      throw new HttpError("ERR_HTTP_METHOD", "Use GET", { headers: ["allow", "GET, HEAD"] });
    const isReady = this.#options.ready() && !this.#closing;
    return jsonAnswer(isReady ? 200 : 503, { ready: isReady }, ["cache-control", "no-store"]);
  }

  #failure(error: unknown, id: string): HttpAnswer {
    if (error instanceof HttpError) return errorAnswer(error, id);
    this.#options.log("internal_error", {
      requestId: id,
      code: errorCode(error),
      message: errorLine(error),
    });
    return problemAnswer(INTERNAL, id);
  }

  /** Lets requests under way end, closes every other connection at once. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#inFlight > 0) await this.#drain();
    // After the last answer was handed to the socket; silent and half-spoken connections go with the rest.
    setImmediate(() => this.#server.closeAllConnections());
    await closed;
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#limits.graceMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function errorAnswer(error: HttpError, id: string): HttpAnswer {
  const { status, code, message, headers } = error;
  return problemAnswer({ status, code, title: message }, id, headers);
}

function tooLarge(): HttpError {
  return new HttpError("ERR_HTTP_BODY_TOO_LARGE", "Body is too large");
}
