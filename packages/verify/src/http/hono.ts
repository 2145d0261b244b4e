import type { VerifiedToken } from "../verified-token.ts";
import { checkAuthOptions, type MiddlewareOptions } from "./auth-options.ts";
import { decide } from "./authenticate.ts";
import { isPreflight } from "./credentials.ts";
import { metadataResponse, refusalResponse } from "./fetch.ts";
import { refusalOf } from "./grant.ts";
import type { ChallengePolicy } from "./refusal.ts";
import type { ProtectedResource } from "./resource-metadata.ts";
import { requiredRoles, requiredScopes, type Requirement, type RoleSource } from "./scopes.ts";

/** For `new Hono<{ Variables: AuthVariables }>()`. */
export interface AuthVariables {
  auth: VerifiedToken;
  /** What the challenges of later refusals name. */
  authPolicy: ChallengePolicy;
}

/** The part of Hono's context that is used here. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
  get<Name extends keyof AuthVariables>(name: Name): AuthVariables[Name] | undefined;
  set<Name extends keyof AuthVariables>(name: Name, value: AuthVariables[Name]): void;
}

export type HonoMiddleware = (
  context: HonoContext,
  next: () => Promise<void>,
) => Promise<Response | void>;

/**
 * Hono middleware: sets the variable `auth` to the verified token, or answers (see `authenticate` of the main entry).
 *
 * @throws TypeError for options that are missing or unknown
 * @example
 * app.use("/orders/*", authenticate({ verifier }));
 * app.get("/orders/*", requireScope("orders.read"), (context) => context.text(context.get("auth").payload.sub));
 */
export function authenticate(options: MiddlewareOptions): HonoMiddleware {
  const policy = checkAuthOptions(options, ["allowPreflight"]);
  const { allowPreflight = false } = options;
  return async (context, next) => {
    const { raw } = context.req;
    if (allowPreflight && isPreflight(raw)) return next();
    const result = await decide(raw, policy);
    if (!result.ok) return refusalResponse(result);
    context.set("auth", result.token);
    context.set("authPolicy", policy);
    return next();
  };
}

/** Refuses a token that does not grant all of these scopes, with 403; goes after `authenticate()`. */
export function requireScope(...scopes: readonly string[]): HonoMiddleware {
  return demand(requiredScopes(scopes));
}

/** As `requireScope`, for roles in the claim `roles`. */
export function requireRole(...roles: readonly string[]): HonoMiddleware {
  return demand(requiredRoles(roles));
}

/** As `requireRole`, for roles that stand elsewhere. */
export function requireRoleFrom(source: RoleSource, ...roles: readonly string[]): HonoMiddleware {
  return demand(requiredRoles(roles, source));
}

/** Answers where clients look for the metadata (RFC 9728 §3.1), and passes everything else on. */
export function resourceMetadata(resource: ProtectedResource): HonoMiddleware {
  return async ({ req: { raw } }, next) => {
    const isAsked = new URL(raw.url).pathname === resource.path;
    if (!isAsked || (raw.method !== "GET" && raw.method !== "HEAD")) return next();
    return metadataResponse(resource);
  };
}

function demand(requirement: Requirement): HonoMiddleware {
  return async (context, next) => {
    const refusal = refusalOf(context.get("auth"), requirement, context.get("authPolicy"));
    return refusal === undefined ? next() : refusalResponse(refusal);
  };
}
