import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { HttpAnswer, HttpRequest } from "@redoubt/http";

/**
 * A request as the protocol library sees it. It comes through the bounds of our own server, and none of the library's
 * code sees the connection. Scheme and host are the configured ones: the library builds addresses and checks DPoP's
 * `htu` with them, and anybody can write a Host header (RFC 9449 §4.3).
 */
export class LibraryRequest extends IncomingMessage {
  /** With the part of the path that is a tenant's, which `url` is without. */
  readonly originalUrl: string;
  readonly body: Buffer;
  /** Why no token was signed, where one was asked for. */
  refusal: Error | undefined;

  constructor(
    request: Pick<HttpRequest, "method" | "headers" | "rawHeaders" | "query" | "body">,
    place: LibraryPlace,
  ) {
    super(new PlaceSocket(place.origin.protocol === "https:"));
    const query = request.query === "" ? "" : `?${request.query}`;
    this.method = request.method;
    this.url = `${place.path}${query}`;
    this.originalUrl = `${place.mount}${place.path}${query}`;
    this.headers = { ...request.headers, host: place.origin.host };
    this.rawHeaders = [...request.rawHeaders];
    this.httpVersion = "1.1";
    this.body = request.body;
    this.complete = true;
    if (request.body.length > 0) this.push(request.body);
    this.push(null);
  }
}

/** Where a request stands: `mount` is the tenant's part of the path, `path` what the library knows. */
export interface LibraryPlace {
  readonly origin: URL;
  readonly mount: string;
  readonly path: string;
}

/** Collects the answer; nothing leaves from here. */
export class LibraryResponse extends ServerResponse<LibraryRequest> {
  readonly answer: Promise<HttpAnswer>;
  readonly #chunks: Buffer[] = [];
  readonly #resolve: (answer: HttpAnswer) => void;
  #isEnded = false;

  constructor(request: LibraryRequest) {
    super(request);
    const { promise, resolve } = Promise.withResolvers<HttpAnswer>();
    this.answer = promise;
    this.#resolve = resolve;
  }

  override write(chunk: unknown): boolean {
    if (typeof chunk === "string") this.#chunks.push(Buffer.from(chunk));
    else if (chunk instanceof Uint8Array) this.#chunks.push(Buffer.from(chunk));
    return true;
  }

  override end(chunk?: unknown): this {
    if (this.#isEnded) return this;
    this.#isEnded = true;
    this.write(chunk);
    this.#resolve({
      status: this.statusCode,
      headers: this.#headerLines(),
      body: Buffer.concat(this.#chunks),
    });
    this.emit("finish");
    this.emit("close");
    return this;
  }

  #headerLines(): readonly string[] {
    return Object.entries(this.getHeaders()).flatMap(([name, value]) => {
      // Our server says the length.
      if (value === undefined || name === "content-length" || name === "transfer-encoding")
        return [];
      const values = Array.isArray(value) ? value : [String(value)];
      return values.flatMap((one) => [name, one]);
    });
  }
}

class PlaceSocket extends Socket {
  /** What Koa asks for the scheme. */
  readonly encrypted: boolean;

  constructor(encrypted: boolean) {
    super();
    this.encrypted = encrypted;
  }
}
