import { describeSite, type SiteOptions } from "../testing/http-cases.ts";
import { listenFetch } from "../testing/loopback.ts";
import type { VerifiedToken } from "../verified-token.ts";
import { resourceMetadata, withAuth } from "./fetch.ts";

function subject(_request: Request, { payload }: VerifiedToken): Response {
  return new Response(payload.sub);
}

function throws(): never {
  throw new Error("of the handler");
}

describeSite("fetch", async ({ allowPreflight, ...options }: SiteOptions) => {
  const preflight = allowPreflight
    ? { onPreflight: (): Response => new Response(null, { status: 204 }) }
    : {};
  const routes = new Map<string, (request: Request) => Response | Promise<Response>>([
    ["/orders", withAuth(subject, { ...options, ...preflight })],
    ["/scoped", withAuth(subject, { ...options, scopes: ["orders.read", "orders.list"] })],
    ["/admin", withAuth(subject, { ...options, roles: ["admin"] })],
    [
      "/keycloak",
      withAuth(subject, { ...options, roles: ["admin"], roleSource: { client: "orders" } }),
    ],
    ["/throws", withAuth(throws, options)],
  ]);
  if (options.resource !== undefined)
    routes.set(options.resource.path, resourceMetadata(options.resource));
  const answer = async (request: Request): Promise<Response> => {
    const handler = routes.get(new URL(request.url).pathname);
    return handler?.(request) ?? new Response(null, { status: 404 });
  };
  return listenFetch(answer);
});
