import { createServer, type RequestListener, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { LONGEST_HEADER, type HttpSite } from "./http-cases.ts";

/** Starts a server on a free port of loopback; ends it with every connection. */
export async function listen(server: Server): Promise<HttpSite> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return {
    origin: originOf(server.address()),
    [Symbol.asyncDispose]: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

function originOf(address: string | AddressInfo | null): string {
  if (address === null || typeof address === "string") throw new TypeError("not a TCP address");
  return `http://127.0.0.1:${address.port}`;
}

/** Serves a fetch handler as Hono's adapter for Node does. */
export function listenFetch(
  handler: (request: Request) => Response | Promise<Response>,
): Promise<HttpSite> {
  // Its declarations want those of a browser.
  const adapter: NodeAdapter = createRequire(import.meta.url)("@hono/node-server");
  const listener = adapter.getRequestListener(handler, { errorHandler });
  return listen(createServer({ maxHeaderSize: LONGEST_HEADER }, listener));
}

function errorHandler(): Response {
  return new Response("error", { status: 500 });
}

interface NodeAdapter {
  getRequestListener(
    handler: (request: Request) => Response | Promise<Response>,
    options: { readonly errorHandler: () => Response },
  ): RequestListener;
}
