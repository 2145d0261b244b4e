import { createServer, type Server } from "node:http";

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
  "x-content-type-options": "nosniff",
} as const;

export interface PlainPage {
  readonly status: 200 | 503;
  readonly type: string;
  readonly body: string;
}

/** The loopback status page: read-only, JSON at `/status.json`, the same as a table at `/`; and other pages by path. */
export async function serveStatusPage(
  port: number,
  status: () => Promise<Record<string, unknown>>,
  pages: Readonly<Record<string, () => Promise<PlainPage>>> = {},
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
      const { url = "" } = request;
      const other = Object.hasOwn(pages, url) ? pages[url] : undefined;
      if (other)
        return void other().then(
          (shown) => {
            response.writeHead(shown.status, { ...HEADERS, "content-type": shown.type });
            response.end(shown.body);
          },
          // Whatever a process says, the one that watches all the others goes on.
          () => response.writeHead(500, HEADERS).end(),
        );
      void status().then((value) => {
        if (request.url === "/status.json") {
          response.writeHead(200, { ...HEADERS, "content-type": "application/json" });
          response.end(`${JSON.stringify(value)}\n`);
        } else if (request.url === "/") {
          response.writeHead(200, { ...HEADERS, "content-type": "text/html; charset=utf-8" });
          response.end(page(value));
        } else response.writeHead(404, HEADERS).end();
      });
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

function page(status: Record<string, unknown>): string {
  const rows = Object.entries(status)
    .map(
      ([name, value]) =>
        `<tr><th scope="row">${escapeHtml(name)}</th><td><pre>${escapeHtml(JSON.stringify(value, null, 2))}</pre></td></tr>`,
    )
    .join("");
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Redoubt status</title>
<style>body{font:14px system-ui;margin:2rem}th{text-align:left;vertical-align:top;padding-right:2rem}</style>
<h1>Redoubt</h1><table>${rows}</table></html>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
