import assert from "node:assert/strict";
import { once } from "node:events";
import { it } from "node:test";
import type { Express } from "express";
import type { FastifyInstance } from "fastify";
import type { Hono } from "hono";

type Handler = (request: Request) => Response | Promise<Response>;

const PORT_ANY = { host: "127.0.0.1", port: 0 };

function urlOf(file: string): string {
  return new URL(`../../examples/${file}`, import.meta.url).href;
}

async function assertGuarded(origin: string, answer: Handler): Promise<void> {
  const { mint }: { mint: (claims: object) => string } = await import(urlOf("demo.js"));
  const ask = async (headers: Record<string, string>): Promise<Response> =>
    answer(new Request(`${origin}/orders`, { headers }));
  const anonymous = await ask({});
  assert.equal(anonymous.status, 401);
  assert.equal(
    anonymous.headers.get("www-authenticate"),
    'Bearer resource_metadata="https://api.example/.well-known/oauth-protected-resource"',
  );
  assert.equal((await ask({ authorization: `Bearer ${mint({})}` })).status, 403);
  const good = await ask({ authorization: `Bearer ${mint({ scope: "orders.read" })}` });
  assert.deepEqual([good.status, await good.json()], [200, { subject: "u1" }]);
}

async function assertDescribed(origin: string, answer: Handler): Promise<void> {
  const url = `${origin}/.well-known/oauth-protected-resource`;
  const response = await answer(new Request(url));
  assert.match(await response.text(), /"resource":"https:\/\/api\.example"/);
}

it("examples/express", async () => {
  const { app }: { app: Express } = await import(urlOf("express/server.js"));
  const server = app.listen(PORT_ANY.port, PORT_ANY.host);
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  try {
    await assertGuarded(`http://127.0.0.1:${address.port}`, fetch);
    await assertDescribed(`http://127.0.0.1:${address.port}`, fetch);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

it("examples/fastify", async () => {
  const { app }: { app: FastifyInstance } = await import(urlOf("fastify/server.js"));
  const origin = await app.listen(PORT_ANY);
  try {
    await assertGuarded(origin, fetch);
    await assertDescribed(origin, fetch);
  } finally {
    app.server.closeAllConnections();
    await app.close();
  }
});

it("examples/hono", async () => {
  const { app }: { app: Hono } = await import(urlOf("hono/server.js"));
  await assertGuarded("http://127.0.0.1", async (request) => app.fetch(request));
  await assertDescribed("http://127.0.0.1", async (request) => app.fetch(request));
});

it("examples/next-route", async () => {
  const { GET }: { GET: Handler } = await import(urlOf("next-route/route.js"));
  await assertGuarded("http://127.0.0.1", GET);
});
