import { HttpError, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import type { PublishedLogs } from "./published-logs.ts";
import type { Www, WwwDocument } from "./www.ts";

// ARCHITECTURE §3.4: ordinary clients stay exposed to a stolen key until their cache ends, so it ends soon.
const DOCUMENT_CACHE = "public, max-age=300";

/** Static files and nothing else. */
export class Web {
  readonly #www: Www;
  readonly #logs: PublishedLogs;

  constructor(www: Www, logs: PublishedLogs) {
    this.#www = www;
    this.#logs = logs;
  }

  handle(request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    const { method, path } = request;
    if (method !== "GET" && method !== "HEAD")
      throw new HttpError("ERR_HTTP_METHOD", "Use GET", { headers: ["allow", "GET, HEAD"] });
    const document = this.#www.find(path);
    return document ? this.#document(request, document) : this.#log(path);
  }

  #document({ headers }: HttpRequest, document: WwwDocument): HttpAnswer | Promise<HttpAnswer> {
    const { etag } = document;
    const common = ["cache-control", DOCUMENT_CACHE, "etag", etag, ...NOSNIFF];
    if (matches(headers["if-none-match"], etag)) return { status: 304, headers: common, body: "" };
    const all = ["content-type", "application/json", ...common];
    const body = this.#www.read(document);
    return body instanceof Promise ? later(body, all) : { status: 200, headers: all, body };
  }

  async #log(path: string): Promise<HttpAnswer> {
    const file = await this.#logs.read(path);
    if (!file) throw notFound();
    const { bytes, contentType, cacheControl } = file;
    const headers = ["content-type", contentType, "cache-control", cacheControl, ...NOSNIFF];
    return { status: 200, headers, body: bytes };
  }
}

const NOSNIFF = ["x-content-type-options", "nosniff"] as const;

async function later(
  pending: Promise<Buffer | undefined>,
  headers: readonly string[],
): Promise<HttpAnswer> {
  const body = await pending;
  // The file was lost or altered: nothing is served in its place.
  if (!body)
    throw new HttpError("ERR_HTTP_BUSY", "Try again later", { headers: ["retry-after", "5"] });
  return { status: 200, headers, body };
}

/** RFC 9110 §13.1.2: weak comparison. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header === "*" || header.split(",").some((one) => one.trim().replace(/^W\//, "") === etag);
}

function notFound(): HttpError {
  return new HttpError("ERR_HTTP_NOT_FOUND", "Nothing is here");
}
