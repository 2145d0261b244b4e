import { createServer, type Server } from "node:http";

/** Nothing inline and nothing from elsewhere: what a hostile value might smuggle into the page neither runs nor loads. */
const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": POLICY,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;

export interface PlainPage {
  readonly status: 200 | 303 | 503;
  readonly type: string;
  readonly body: string;
  /** Where a 303 leads to. */
  readonly location?: string;
}

/** Serves pages by path, on loopback, read-only. */
export async function serveStatusPage(
  port: number,
  pages: Readonly<Record<string, (query: URLSearchParams) => Promise<PlainPage>>>,
): Promise<AsyncDisposable> {
  const server = createServer(
    { maxHeaderSize: 8192, requestTimeout: 5000 },
    (request, response) => {
      // DNS rebinding: a foreign web page must not read this through a name that it lets point to 127.0.0.1.
      const host = request.headers.host ?? "";
      const isLocal = host === `127.0.0.1:${port}` || host === `localhost:${port}`;
      if (!isLocal || request.method !== "GET") {
        response.writeHead(isLocal ? 405 : 421, HEADERS).end();
        return;
      }
      const [path = "", query = ""] = (request.url ?? "").split("?", 2);
      const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
      if (!page) {
        response.writeHead(404, HEADERS).end();
        return;
      }
      void page(new URLSearchParams(query)).then(
        (shown) => {
          const { status, type, location } = shown;
          const to = location === undefined ? {} : { location };
          response.writeHead(status, { ...HEADERS, "content-type": type, ...to });
          response.end(shown.body);
        },
        // Whatever a process says, the one that watches all the others goes on.
        () => response.writeHead(500, HEADERS).end(),
      );
    },
  );
  await listen(server, port);
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1" }, () => resolve());
  });
}
