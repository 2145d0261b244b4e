import type { IncomingHttpHeaders } from "node:http";
import { HttpError } from "./errors.ts";

/** A request as a handler sees it. Every member but `id`, `address` and `promote` is chosen by the client. */
export interface HttpRequest {
  readonly method: string;
  /** As it came, without the query and, in absolute form, scheme and host: nothing is decoded or normalised. */
  readonly path: string;
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  /** Name, value, name, value …, with repetitions. */
  readonly rawHeaders: readonly string[];
  /** Of whoever asks: the connection's, or what a declared proxy says (THREAT-39). One text for each address. */
  readonly address: string;
  readonly id: string;
  readonly body: Buffer;
  /**
   * The request has proven to come from `name`: its connection gets one of the places of that name, which nobody else
   * can take (THREAT-36). Said again on the same connection it costs nothing.
   */
  readonly promote: (name: string) => void;
}

/** A request whose body was not read yet. */
export type RequestHead = Omit<HttpRequest, "body">;

/** An answer as a handler gives it. */
export interface HttpAnswer {
  readonly status: number;
  /** Name, value, name, value …; the server adds length and request id. */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array;
}

/**
 * The value of a header that may be there once at most; undefined where it is absent. Of two, Node keeps the first and
 * a proxy in front may keep the second, so a repetition is refused.
 *
 * @param name in lower case
 * @throws HttpError `ERR_HTTP_HEADER`
 */
export function singleHeader(
  request: Pick<HttpRequest, "rawHeaders">,
  name: string,
): string | undefined {
  const { rawHeaders } = request;
  let found: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const candidate = rawHeaders[at];
    if (candidate?.length !== name.length || candidate.toLowerCase() !== name) continue;
    if (found !== undefined) throw new HttpError("ERR_HTTP_HEADER", `Header ${name} occurs twice`);
    found = rawHeaders[at + 1];
  }
  return found;
}

export function jsonAnswer(
  status: number,
  value: unknown,
  headers: readonly string[] = [],
): HttpAnswer {
  return {
    status,
    headers: ["content-type", "application/json", ...headers],
    body: JSON.stringify(value),
  };
}

/** RFC 9457. `title` quotes no input. */
export function problemAnswer(
  problem: { readonly status: number; readonly code: string; readonly title: string },
  id: string,
  headers: readonly string[] = [],
): HttpAnswer {
  const { status, code, title } = problem;
  return {
    status,
    headers: ["content-type", "application/problem+json", "cache-control", "no-store", ...headers],
    body: JSON.stringify({ type: "about:blank", title, status, code, requestId: id }),
  };
}
