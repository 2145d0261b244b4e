import type { VerifiedToken } from "../verified-token.ts";
import { checkAuthOptions, type MiddlewareOptions } from "./auth-options.ts";
import { decide } from "./authenticate.ts";
import { isPreflight } from "./credentials.ts";
import { refusalOf } from "./grant.ts";
import { nodeFacts, type NodeRequest } from "./node-request.ts";
import type { ChallengePolicy, Refusal } from "./refusal.ts";
import { metadataAnswer, type ProtectedResource } from "./resource-metadata.ts";
import { requiredRoles, requiredScopes, type Requirement, type RoleSource } from "./scopes.ts";

declare global {
  namespace Express {
    interface Request {
      /** Set by `authenticate()` of `@redoubt/verify/express`. */
      auth?: VerifiedToken;
    }
  }
}

const POLICY: unique symbol = Symbol("redoubt policy");

/** The part of Express' request that is used here. */
export interface ExpressRequest extends NodeRequest {
  auth?: VerifiedToken;
  [POLICY]?: ChallengePolicy;
}

/** The part of Express' response that is used here. */
export interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body?: string): unknown;
}

export type ExpressHandler<Result> = (
  request: ExpressRequest,
  response: ExpressResponse,
  next: (error?: unknown) => void,
) => Result;

/**
 * Express middleware: sets `request.auth` to the verified token, or answers (see `authenticate` of the main entry).
 * Its promise never rejects: what is not an answer goes to `next`.
 *
 * @throws TypeError for options that are missing or unknown
 * @example
 * app.use("/orders", authenticate({ verifier }));
 * app.get("/orders", requireScope("orders.read"), (request, response) => response.json(request.auth.payload.sub));
 */
export function authenticate(options: MiddlewareOptions): ExpressHandler<Promise<void>> {
  const policy = checkAuthOptions(options, ["allowPreflight"]);
  const { allowPreflight = false } = options;
  return async (request, response, next) => {
    try {
      const facts = nodeFacts(request);
      if (!allowPreflight || !isPreflight(facts)) {
        const result = await decide(facts, policy);
        if (!result.ok) return send(response, result);
        request.auth = result.token;
        request[POLICY] = policy;
      }
    } catch (error) {
      return next(error);
    }
    next();
  };
}

/** Refuses a token that does not grant all of these scopes, with 403; goes after `authenticate()`. */
export function requireScope(...scopes: readonly string[]): ExpressHandler<void> {
  return demand(requiredScopes(scopes));
}

/** As `requireScope`, for roles in the claim `roles`. */
export function requireRole(...roles: readonly string[]): ExpressHandler<void> {
  return demand(requiredRoles(roles));
}

/** As `requireRole`, for roles that stand elsewhere. */
export function requireRoleFrom(
  source: RoleSource,
  ...roles: readonly string[]
): ExpressHandler<void> {
  return demand(requiredRoles(roles, source));
}

/** Answers where clients look for the metadata (RFC 9728 §3.1), and passes everything else on. */
export function resourceMetadata(resource: ProtectedResource): ExpressHandler<void> {
  const { headers, body } = metadataAnswer(resource);
  return (request, response, next) => {
    const { method, url } = nodeFacts(request);
    if ((method !== "GET" && method !== "HEAD") || url.split("?", 1)[0] !== resource.path)
      return next();
    write(response, 200, headers, body);
  };
}

function demand(requirement: Requirement): ExpressHandler<void> {
  return (request, response, next) => {
    const refusal = refusalOf(request.auth, requirement, request[POLICY]);
    if (refusal === undefined) next();
    else send(response, refusal);
  };
}

function send(response: ExpressResponse, { status, headers, body }: Refusal): void {
  write(response, status, headers, body);
}

function write(
  response: ExpressResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body);
}
