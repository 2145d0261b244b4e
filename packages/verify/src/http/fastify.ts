import type { VerifiedToken } from "../verified-token.ts";
import { checkAuthOptions, type MiddlewareOptions } from "./auth-options.ts";
import { decide } from "./authenticate.ts";
import { isPreflight } from "./credentials.ts";
import { refusalOf } from "./grant.ts";
import { nodeFacts, type NodeRequest } from "./node-request.ts";
import type { ChallengePolicy, Refusal } from "./refusal.ts";
import { metadataAnswer, type ProtectedResource } from "./resource-metadata.ts";
import { requiredRoles, requiredScopes, type Requirement, type RoleSource } from "./scopes.ts";

const POLICY: unique symbol = Symbol("redoubt policy");

/** The part of Fastify's request that is used here. */
export interface FastifyLikeRequest {
  readonly raw: NodeRequest;
  readonly originalUrl: string;
  auth?: VerifiedToken | null;
  [POLICY]?: ChallengePolicy | null;
}

/** The part of Fastify's reply that is used here. */
export interface FastifyLikeReply {
  code(status: number): unknown;
  headers(values: Record<string, string>): unknown;
  send(payload: string): unknown;
}

/** A hook of a scope or of a route, for `onRequest` or `preHandler`. */
export type FastifyHook = (
  request: FastifyLikeRequest,
  reply: FastifyLikeReply,
) => Promise<unknown>;

/** The part of Fastify's instance that is used here. */
export interface FastifyLikeInstance {
  hasRequestDecorator(name: string | symbol): boolean;
  decorateRequest(name: string | symbol, value: null): unknown;
  addHook(name: "onRequest", hook: FastifyHook): unknown;
  get(path: string, handler: FastifyHook): unknown;
}

export type FastifyPlugin<Options> = (
  instance: FastifyLikeInstance,
  options: Options,
) => Promise<void>;

/**
 * Fastify plugin: sets `request.auth` to the verified token, or answers (see `authenticate` of the main entry), before
 * the body is read. It protects the scope that registers it, with the scopes inside, and no other.
 *
 * @throws TypeError, from `register`, for options that are missing or unknown
 * @example
 * await app.register(async (api) => {
 *   await api.register(authenticate, { verifier });
 *   api.get("/orders", { onRequest: requireScope("orders.read") }, (request) => request.auth.payload.sub);
 * });
 */
export const authenticate: FastifyPlugin<MiddlewareOptions> = plugin(
  "@redoubt/verify",
  async (instance, options) => {
    const policy = checkAuthOptions(options, FASTIFY_OPTIONS);
    const { allowPreflight = false } = options;
    for (const name of ["auth", POLICY])
      if (!instance.hasRequestDecorator(name)) instance.decorateRequest(name, null);
    instance.addHook("onRequest", async (request, reply) => {
      const facts = factsOf(request);
      if (allowPreflight && isPreflight(facts)) return undefined;
      const result = await decide(facts, policy);
      if (!result.ok) return send(reply, result);
      request.auth = result.token;
      request[POLICY] = policy;
      return undefined;
    });
  },
);

/** Hook that refuses a token that does not grant all of these scopes, with 403. */
export function requireScope(...scopes: readonly string[]): FastifyHook {
  return demand(requiredScopes(scopes));
}

/** As `requireScope`, for roles in the claim `roles`. */
export function requireRole(...roles: readonly string[]): FastifyHook {
  return demand(requiredRoles(roles));
}

/** As `requireRole`, for roles that stand elsewhere. */
export function requireRoleFrom(source: RoleSource, ...roles: readonly string[]): FastifyHook {
  return demand(requiredRoles(roles, source));
}

/** Plugin that serves the metadata where clients look for it (RFC 9728 §3.1); goes outside the protected scope. */
export const resourceMetadata: FastifyPlugin<{ readonly resource: ProtectedResource }> = plugin(
  "@redoubt/verify/metadata",
  async (instance, { resource }) => {
    const { headers, body } = metadataAnswer(resource);
    instance.get(resource.path, async (_request, reply) => {
      reply.headers(headers);
      return reply.send(body);
    });
  },
);

/** What `register` adds of its own. */
const FASTIFY_OPTIONS = ["allowPreflight", "prefix", "logLevel", "logSerializers"];

/** As fastify-plugin does: hooks and decorators count for the scope that registers, not for one inside it. */
function plugin<Options>(name: string, register: FastifyPlugin<Options>): FastifyPlugin<Options> {
  return Object.assign(register, {
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: name,
    [Symbol.for("plugin-meta")]: { name, fastify: "5.x" },
  });
}

function demand(requirement: Requirement): FastifyHook {
  return async (request, reply) => {
    const refusal = refusalOf(request.auth, requirement, request[POLICY] ?? undefined);
    return refusal === undefined ? undefined : send(reply, refusal);
  };
}

function factsOf({ raw, originalUrl }: FastifyLikeRequest): ReturnType<typeof nodeFacts> {
  const { method, headers, rawHeaders } = raw;
  return nodeFacts({ method, url: originalUrl, headers, rawHeaders });
}

function send(reply: FastifyLikeReply, { status, headers, body }: Refusal): unknown {
  reply.code(status);
  reply.headers({ ...headers });
  return reply.send(body);
}
