import type { VerifiedToken } from "../verified-token.ts";
import { checkAuthOptions, type AuthOptions } from "./auth-options.ts";
import { decide } from "./authenticate.ts";
import { isPreflight } from "./credentials.ts";
import type { Refusal } from "./refusal.ts";
import { metadataAnswer, type ProtectedResource } from "./resource-metadata.ts";

/** A handler that is called with the verified token; `rest` is what the framework adds, such as route parameters. */
export type AuthHandler<R extends Request, Rest extends readonly unknown[]> = (
  request: R,
  auth: VerifiedToken,
  ...rest: Rest
) => Response | Promise<Response>;

export interface FetchOptions<R extends Request = Request> extends AuthOptions {
  /** Answers CORS preflights, which never carry a token. Without it they are refused like any request without one. */
  readonly onPreflight?: (request: R) => Response | Promise<Response>;
}

/**
 * Wraps a fetch handler: it runs only for a verified token that grants the scopes and roles of the options (see
 * `authenticate` of the main entry). What the handler throws is not caught.
 *
 * Where a server makes a `Request` from Node's joined headers, the first of two `Authorization` headers is all that is
 * left to see.
 *
 * @throws TypeError for options that are missing or unknown
 * @example
 * export const GET = withAuth((request, auth) => Response.json({ sub: auth.payload.sub }), {
 *   verifier,
 *   scopes: ["orders.read"],
 * });
 */
export function withAuth<R extends Request = Request, Rest extends readonly unknown[] = []>(
  handler: AuthHandler<R, Rest>,
  options: FetchOptions<R>,
): (request: R, ...rest: Rest) => Promise<Response> {
  const policy = checkAuthOptions(options, ["onPreflight"]);
  const { onPreflight } = options;
  return async (request, ...rest) => {
    if (onPreflight !== undefined && isPreflight(request)) return onPreflight(request);
    const result = await decide(request, policy);
    return result.ok ? handler(request, result.token, ...rest) : refusalResponse(result);
  };
}

/** A handler for the address of the metadata, `resource.path` (RFC 9728 §3.1). */
export function resourceMetadata(resource: ProtectedResource): () => Response {
  return () => metadataResponse(resource);
}

export function metadataResponse(resource: ProtectedResource): Response {
  const { headers, body } = metadataAnswer(resource);
  return new Response(body, { headers });
}

export function refusalResponse({ status, headers, body }: Refusal): Response {
  return new Response(body, { status, headers });
}
