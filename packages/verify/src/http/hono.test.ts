import assert from "node:assert/strict";
import { it } from "node:test";
import { Hono, type Context } from "hono";
import { describeSite, RESOURCE, type SiteOptions } from "../testing/http-cases.ts";
import { listenFetch } from "../testing/loopback.ts";
import {
  authenticate,
  requireRole,
  requireRoleFrom,
  requireScope,
  resourceMetadata,
  type AuthVariables,
} from "./hono.ts";

type Env = { Variables: AuthVariables };

function subject(context: Context<Env>): Response {
  return context.text(context.get("auth").payload.sub);
}

describeSite("hono", async (options: SiteOptions) => {
  const app = new Hono<Env>();
  if (options.resource !== undefined) app.use(resourceMetadata(options.resource));
  app.use(authenticate(options));
  app.options("/orders", (context) => context.body(null, 204));
  app.all("/orders", subject);
  app.get("/scoped", requireScope("orders.read", "orders.list"), subject);
  app.get("/admin", requireRole("admin"), subject);
  app.get("/keycloak", requireRoleFrom({ client: "orders" }, "admin"), subject);
  app.get("/throws", () => {
    throw new Error("of the handler");
  });
  app.onError((_error, context) => context.text("error", 500));
  return listenFetch(async (request) => app.fetch(request));
});

it("hono: metadata are for reading; other methods are passed on", async () => {
  const app = new Hono();
  app.use(resourceMetadata(RESOURCE)).all("*", (context) => context.text("passed"));
  for (const [method, isPassed] of [
    ["POST", true],
    ["OPTIONS", true],
    ["GET", false],
  ] as const) {
    const response = await app.request(RESOURCE.path, { method });
    assert.equal((await response.text()) === "passed", isPassed, method);
  }
});
