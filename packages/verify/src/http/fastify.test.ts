import assert from "node:assert/strict";
import { it } from "node:test";
import { fastify, type FastifyRequest } from "fastify";
import { describeSite, LONGEST_HEADER, type SiteOptions } from "../testing/http-cases.ts";
import { mint, staticKey, verifierWith } from "../testing/fixture.ts";
import type { VerifiedToken } from "../verified-token.ts";
import {
  authenticate,
  requireRole,
  requireRoleFrom,
  requireScope,
  resourceMetadata,
} from "./fastify.ts";

declare module "fastify" {
  interface FastifyRequest {
    auth?: VerifiedToken | null;
  }
}

async function subject({ auth }: FastifyRequest): Promise<string | undefined> {
  return auth?.payload.sub;
}

async function seen({ auth }: FastifyRequest): Promise<string> {
  return auth?.payload.sub ?? "nobody";
}

describeSite("fastify", async (options: SiteOptions) => {
  const app = fastify({ http: { maxHeaderSize: LONGEST_HEADER }, forceCloseConnections: true });
  const { resource } = options;
  if (resource !== undefined) await app.register(resourceMetadata, { resource });
  await app.register(async (api) => {
    await api.register(authenticate, options);
    api.options("/orders", async (_request, reply) => reply.code(204).send());
    api.route({ method: ["GET", "HEAD", "POST"], url: "/orders", handler: subject });
    const scoped = { onRequest: requireScope("orders.read", "orders.list") };
    api.route({ method: "GET", url: "/scoped", ...scoped, handler: subject });
    const admin = { preHandler: requireRole("admin") };
    api.route({ method: "GET", url: "/admin", ...admin, handler: subject });
    const keycloak = { onRequest: requireRoleFrom({ client: "orders" }, "admin") };
    api.route({ method: "GET", url: "/keycloak", ...keycloak, handler: subject });
    api.get("/throws", async () => {
      throw new Error("of the handler");
    });
  });
  const origin = await app.listen({ port: 0, host: "127.0.0.1" });
  return { origin, [Symbol.asyncDispose]: () => app.close() };
});

it("the Fastify plugin protects the scope that registers it, scopes inside, and no other", async () => {
  const verifier = await verifierWith([staticKey("ent-es256")]);
  const app = fastify();
  app.get("/open", seen);
  await app.register(async (api) => {
    await api.register(authenticate, { verifier });
    api.get("/closed", seen);
    await api.register(async (inner) => {
      await inner.register(authenticate, { verifier, scopes: ["orders.read"] });
      inner.get("/inner", seen);
    });
  });
  await app.register(async (other) => {
    await other.register(authenticate, { verifier });
    other.get("/other", seen);
  });
  const authorization = `Bearer ${mint()}`;
  const outcome = async (url: string, headers = {}): Promise<readonly [number, string]> => {
    const { statusCode, body } = await app.inject({ url, headers });
    return [statusCode, statusCode === 200 ? body : ""];
  };
  assert.deepEqual(await outcome("/open"), [200, "nobody"]);
  for (const url of ["/closed", "/inner", "/other"])
    assert.deepEqual(await outcome(url), [401, ""], url);
  assert.deepEqual(await outcome("/closed", { authorization }), [200, "user-1"]);
  assert.deepEqual(await outcome("/other", { authorization }), [200, "user-1"]);
  assert.deepEqual(await outcome("/inner", { authorization }), [403, ""]);
  await app.close();
});
