import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { monitorError } from "../errors.ts";

export interface HttpOptions {
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Ends the request early. */
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** The answer was longer than `maxBytes`; `body` is its beginning. */
  readonly truncated: boolean;
}

export type HttpRequest = (url: string, options: HttpOptions) => Promise<HttpAnswer>;

/**
 * One bounded request to an address from our configuration. Redirects are not followed: nobody but the
 * configuration chooses where we connect to.
 */
export function httpRequest(url: string, options: HttpOptions): Promise<HttpAnswer> {
  const { method, headers, body, maxBytes, timeoutMs } = options;
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const send = url.startsWith("https:") ? requestHttps : requestHttp;
  // The signal bounds the whole exchange, however slowly the other side sends.
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout;
  const request = send(
    url,
    { method, headers: { ...headers }, signal, agent: false },
    (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const finish = (truncated: boolean): void =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks), truncated });
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk.subarray(0, Math.max(0, maxBytes - size)));
        size += chunk.length;
        if (size <= maxBytes) return;
        finish(true);
        request.destroy();
      });
      response.on("end", () => finish(false));
      response.on("error", reject);
    },
  );
  request.on("error", (cause) =>
    reject(monitorError("ERR_MONITOR_HTTP", `No answer from ${new URL(url).host}`, { cause })),
  );
  request.end(body);
  return promise;
}
