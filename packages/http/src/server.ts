import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import { Server as NetServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { errorCode, errorLine, ServiceError, type EventSink } from "@redoubt/base";
import { Certificate, type CertificateFiles } from "./certificate.ts";
import type { HttpEvent } from "./events.ts";
import { ClientAddresses, type Proxies } from "./client-address.ts";
import { HttpError } from "./errors.ts";
import {
  jsonAnswer,
  problemAnswer,
  type HttpAnswer,
  type HttpRequest,
  type RequestHead,
} from "./message.ts";
import { Places, type Place, type PlaceCounts, type PlaceLimits } from "./places.ts";

export interface HttpLimits extends PlaceLimits {
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
  /** How often the files of a certificate are looked at. */
  readonly certificateMs: number;
  /** Requests under way, pipelined ones included. */
  readonly inFlight: number;
  /** The same of one connection, so that none takes the places of all others (THREAT-36). */
  readonly pipelined: number;
  /** How long requests under way may take at shutdown, until their answers have left. */
  readonly graceMs: number;
  /** How long an idle connection stays open at shutdown: a request that is on its way still gets its answer. */
  readonly lingerMs: number;
}

export const DEFAULT_LIMITS: HttpLimits = {
  headerBytes: 8192,
  bodyBytes: 16_384,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 10_000,
  idleTimeoutMs: 15_000,
  checkIntervalMs: 1000,
  certificateMs: 60_000,
  // Twice the connections that can wait to be accepted (511, Node's backlog). So what one turn of the event loop accepts
  // evicts no newcomer whose request has come.
  connections: 1024,
  perName: 16,
  named: 1024,
  calmMs: 10_000,
  inFlight: 4096,
  pipelined: 128,
  graceMs: 5000,
  lingerMs: 100,
};

export interface HttpOptions {
  /** 0 takes a free port. */
  readonly port: number;
  /** Default: loopback. What others can reach has `tls`, or takes connections of declared proxies alone. */
  readonly address?: string;
  readonly tls?: CertificateFiles;
  /** Connections of others than `proxies` are closed before a byte is read. */
  readonly proxiesOnly?: boolean;
  readonly handler: (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;
  readonly sink: EventSink<HttpEvent>;
  /** Answered at `GET /health`; without it that path is the handler's, too. */
  readonly ready?: () => boolean;
  /** Called before a body is read; without it every body may have `bodyBytes`. */
  readonly admit?: (head: RequestHead) => Admission;
  readonly limits?: Partial<HttpLimits>;
  /** Whose word counts for where a request came from; without them nobody's. */
  readonly proxies?: Proxies | null;
  /** Called when strangers begin to lose their connections to newcomers, and when that is over. */
  readonly onExhausted?: (isExhausted: boolean) => void;
}

/** How many bytes the body may have, or the answer that is given without reading it. */
export type Admission = number | HttpAnswer;

export interface HttpCounts extends PlaceCounts {
  readonly requests: number;
  readonly inFlight: number;
}

/** A request that is to be answered. */
interface Call {
  readonly response: ServerResponse;
  readonly place: Place;
  readonly id: string;
  readonly address: string;
}

const LOOPBACK = "127.0.0.1";
const NO_BODY = Buffer.alloc(0);
const INTERNAL = { status: 500, code: "ERR_INTERNAL", title: "Internal error" };

/** @throws ServiceError `ERR_HTTP_LISTEN`, `ERR_HTTP_CERTIFICATE` */
export async function serveHttp(options: HttpOptions): Promise<HttpServer> {
  const server = new HttpServer(options);
  await server.listen(options.port);
  return server;
}

/** A node:http server whose every input is bounded in bytes, count and time (P12, THREAT-26, THREAT-36). */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpOptions;
  readonly #limits: HttpLimits;
  readonly #server: Server | TlsServer;
  readonly #certificate: Certificate | undefined;
  readonly #places: Places;
  readonly #addresses: ClientAddresses;
  readonly #placeOf = new Map<Socket, Place>();
  /** Over TLS: places by connection. */
  readonly #handshakes = new Map<string, Place>();
  // Request ids are names for the log, not secrets: random per process, then counted.
  readonly #idPrefix = randomBytes(6).toString("base64url");
  #requests = 0;
  #inFlight = 0;
  /** Answers that the system has not taken whole. */
  #unsent = 0;
  #drained: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #following: Disposable | undefined;

  constructor(options: HttpOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#options = options;
    this.#limits = limits;
    this.#addresses = new ClientAddresses(options.proxies ?? null);
    const { sink, onExhausted } = options;
    this.#places = new Places({ limits, sink, ...(onExhausted ? { onExhausted } : {}) });
    this.#certificate = options.tls && new Certificate(options.tls, sink);
    this.#server = openServer(limits, this.#certificate);
    // 0 is "all": Node would otherwise drop the headers past the bound in silence; the bound is on their bytes.
    this.#server.maxHeadersCount = 0;
    this.#server.setTimeout(limits.idleTimeoutMs);
    this.#server.on("connection", (socket: Socket) => this.#connected(socket));
    // Over TLS a request's socket is another than the one that connected.
    this.#server.on("secureConnection", (socket: Socket) => this.#secured(socket));
    this.#server.on("request", (request, response) => this.#receive(request, response));
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string")
      throw new ServiceError("ERR_HTTP_CLOSED", "HTTP server is not listening");
    return address.port;
  }

  /** For the status page. */
  counts(): HttpCounts {
    return { requests: this.#requests, inFlight: this.#inFlight, ...this.#places.counts() };
  }

  listen(port: number): Promise<void> {
    const { address = LOOPBACK } = this.#options;
    return new Promise((resolve, reject) => {
      const refuse = (cause: Error): void => {
        reject(
          new ServiceError("ERR_HTTP_LISTEN", `Cannot listen on ${address}:${port}`, { cause }),
        );
      };
      this.#server.once("error", refuse);
      this.#server.listen({ host: address, port }, () => {
        this.#server.off("error", refuse);
        if (this.#certificate && this.#server instanceof TlsServer)
          this.#following = this.#certificate.follow(this.#server, this.#limits.certificateMs);
        resolve();
      });
    });
  }

  #connected(socket: Socket): void {
    if (this.#options.proxiesOnly === true && !this.#addresses.isFromProxy(socket)) {
      socket.destroy();
      return;
    }
    const place = this.#admit(socket);
    if (!this.#certificate) return;
    const name = connectionOf(socket);
    this.#handshakes.set(name, place);
    socket.once("close", () => this.#handshakes.delete(name));
  }

  /** The connection keeps the place that it had before the handshake. */
  #secured(socket: Socket): void {
    const place = this.#handshakes.get(connectionOf(socket));
    if (!place) return;
    this.#placeOf.set(socket, place);
    socket.once("close", () => this.#placeOf.delete(socket));
  }

  #admit(socket: Socket): Place {
    const place = this.#places.admit(() => socket.destroy());
    this.#placeOf.set(socket, place);
    socket.once("close", () => {
      this.#placeOf.delete(socket);
      place.gone();
    });
    return place;
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    this.#requests += 1;
    const { headers, method, socket } = request;
    const call: Call = {
      response,
      place: this.#placeOf.get(socket) ?? this.#admit(socket),
      id: `${this.#idPrefix}-${this.#requests.toString(36)}`,
      address: this.#addresses.of(request),
    };
    const length = headers["content-length"];
    const hasBody = headers["transfer-encoding"] !== undefined || (length ?? "0") !== "0";
    if (hasBody) call.place.reading();
    // RFC 9110 §9.3.1: such a body has no meaning, and proxies disagree about where it ends.
    if (hasBody && (method === "GET" || method === "HEAD"))
      return this.#refuse(call, new HttpError("ERR_HTTP_HEADER", `${method} has a body`));
    const admission = this.#admission(request, call);
    if (typeof admission !== "number") return this.#answerHead(call, admission, hasBody);
    if (!hasBody) return this.#run(request, call, NO_BODY);
    if (Number(length) > admission) return this.#refuse(call, tooLarge());
    this.#collect(request, call, admission);
  }

  #admission(request: IncomingMessage, call: Call): Admission {
    const { admit } = this.#options;
    if (!admit) return this.#limits.bodyBytes;
    try {
      return admit(headOf(request, call));
    } catch (error) {
      return this.#failure(error, call.id);
    }
  }

  #answerHead(call: Call, answer: HttpAnswer, hasBody: boolean): void {
    if (hasBody) return this.#turnAway(call, answer);
    call.place.running();
    this.#inFlight += 1;
    this.#finish(call, answer);
  }

  #collect(request: IncomingMessage, call: Call, maxBytes: number): void {
    const { response } = call;
    let chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else if (!response.headersSent) {
        chunks = [];
        this.#refuse(call, tooLarge());
      }
    });
    request.on("end", () => {
      if (response.headersSent) return;
      const [only = NO_BODY] = chunks;
      this.#run(request, call, chunks.length <= 1 ? only : Buffer.concat(chunks, size));
    });
  }

  #refuse(call: Call, error: HttpError): void {
    this.#turnAway(call, errorAnswer(error, call.id));
  }

  /** Answers without having read the rest, which makes the connection useless for another request. */
  #turnAway({ response, place, id }: Call, answer: HttpAnswer): void {
    response.shouldKeepAlive = false;
    this.#send(response, id, answer);
    place.refused();
  }

  #run(message: IncomingMessage, call: Call, body: Buffer): void {
    const request: HttpRequest = { ...headOf(message, call), body };
    call.place.running();
    this.#inFlight += 1;
    const answer = this.#answer(request, call.place);
    if (answer instanceof Promise) void this.#sendLater(call, answer);
    else this.#finish(call, answer);
  }

  #answer(request: HttpRequest, place: Place): HttpAnswer | Promise<HttpAnswer> {
    try {
      const { ready } = this.#options;
      if (ready && request.path === "/health") return this.#health(request, ready);
      const { inFlight, pipelined } = this.#limits;
      if (this.#inFlight > inFlight || place.underWay > pipelined)
        throw new HttpError("ERR_HTTP_BUSY", "Too many requests", {
          headers: ["retry-after", "1"],
        });
      return this.#options.handler(request);
    } catch (error) {
      return this.#failure(error, request.id);
    }
  }

  async #sendLater(call: Call, pending: Promise<HttpAnswer>): Promise<void> {
    let answer: HttpAnswer;
    try {
      answer = await pending;
    } catch (error) {
      answer = this.#failure(error, call.id);
    }
    this.#finish(call, answer);
  }

  #finish({ response, place, id }: Call, answer: HttpAnswer): void {
    this.#inFlight -= 1;
    this.#send(response, id, answer);
    place.answered();
    if (this.#isQuiet) this.#drained?.();
  }

  #send(response: ServerResponse, id: string, { status, headers, body }: HttpAnswer): void {
    // The client may be gone.
    if (response.destroyed) return;
    if (this.#closing) response.shouldKeepAlive = false;
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    const lines = [...headers, "x-request-id", id];
    // RFC 9110 §8.6: on 304 the length would be that of the body which is not sent.
    if (status !== 304) lines.push("content-length", String(length));
    this.#unsent += 1;
    response.once("close", () => {
      this.#unsent -= 1;
      if (this.#isQuiet) this.#drained?.();
    });
    response.writeHead(status, lines);
    // A string leaves in one write with the headers; where it is ASCII, without another encoding.
    if (typeof body === "string" && body.length === length) response.end(body, "latin1");
    else response.end(body);
  }

  #health({ method }: HttpRequest, ready: () => boolean): HttpAnswer {
    if (method !== "GET" && method !== "HEAD")
      throw new HttpError("ERR_HTTP_METHOD", "Use GET", { headers: ["allow", "GET, HEAD"] });
    const isReady = ready() && !this.#closing;
    return jsonAnswer(isReady ? 200 : 503, { ready: isReady }, ["cache-control", "no-store"]);
  }

  #failure(error: unknown, id: string): HttpAnswer {
    if (error instanceof HttpError) return errorAnswer(error, id);
    this.#options.sink("internal_error", {
      requestId: id,
      code: errorCode(error),
      message: errorLine(error),
    });
    return problemAnswer(INTERNAL, id);
  }

  get #isQuiet(): boolean {
    return this.#inFlight + this.#unsent === 0;
  }

  /**
   * Takes no new connection, answers what was asked, each time as the last answer on its connection, and ends. What
   * was not asked within `lingerMs` is not asked any more; what is not answered and taken within `graceMs` is cut.
   */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#places[Symbol.dispose]();
    this.#following?.[Symbol.dispose]();
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => {
      // Not the HTTP server's own: it ends every idle connection at once, whatever is on its way there.
      NetServer.prototype.close.call(this.#server, () => resolve());
    });
    if (this.#placeOf.size > 0) await Promise.race([closed, pause(this.#limits.lingerMs)]);
    if (!this.#isQuiet) await this.#drain();
    // This ends the HTTP server's timers. Whoever is still connected has no request that will be answered.
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Waits for the requests under way, not for those that have come in part. */
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

function openServer(limits: HttpLimits, certificate: Certificate | undefined): Server | TlsServer {
  const options = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
  };
  if (!certificate) return createServer(options);
  const handshakeTimeout = limits.headersTimeoutMs;
  return createTlsServer({ ...options, ...certificate.options, handshakeTimeout });
}

/** Both ends of a connection: what the sockets below and above TLS have in common. */
function connectionOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function headOf(message: IncomingMessage, { id, place, address }: Call): RequestHead {
  const url = originForm(message.url ?? "/");
  const question = url.indexOf("?");
  return {
    method: message.method ?? "",
    path: question < 0 ? url : url.slice(0, question),
    query: question < 0 ? "" : url.slice(question + 1),
    headers: message.headers,
    rawHeaders: message.rawHeaders,
    address,
    id,
    promote: (name) => place.promote(name),
  };
}

const ABSOLUTE_FORM = /^https?:\/\/(?:[\w.~-]+|\[[\da-f:.]+\])(?::\d{1,5})?(?=[/?]|$)/i;

/**
 * RFC 9112 §3.2.2: servers take targets in absolute form, which are written for proxies. Nothing here depends on scheme
 * and host, which anybody can write, so they go; what is neither form stays, and is nobody's path.
 */
function originForm(target: string): string {
  if (target.startsWith("/")) return target;
  const [place] = ABSOLUTE_FORM.exec(target) ?? [];
  if (place === undefined) return target;
  const path = target.slice(place.length);
  return path.startsWith("/") ? path : `/${path}`;
}

function errorAnswer(error: HttpError, id: string): HttpAnswer {
  const { status, code, message, headers } = error;
  return problemAnswer({ status, code, title: message }, id, headers);
}

function tooLarge(): HttpError {
  return new HttpError("ERR_HTTP_BODY_TOO_LARGE", "Body is too large");
}
