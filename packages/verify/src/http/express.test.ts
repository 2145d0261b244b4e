import assert from "node:assert/strict";
import { createServer } from "node:http";
import { it } from "node:test";
import express, { type NextFunction, type Request, type Response } from "express";
import { describeSite, LONGEST_HEADER, RESOURCE, type SiteOptions } from "../testing/http-cases.ts";
import { listen } from "../testing/loopback.ts";
import {
  authenticate,
  requireRole,
  requireRoleFrom,
  requireScope,
  resourceMetadata,
} from "./express.ts";

function subject(request: Request, response: Response): void {
  response.send(request.auth?.payload.sub);
}

describeSite("express", async ({ allowPreflight, ...options }: SiteOptions) => {
  const app = express();
  if (options.resource !== undefined) app.use(resourceMetadata(options.resource));
  app.use(authenticate({ ...options, allowPreflight }));
  app.options("/orders", (_request, response) => {
    response.sendStatus(204);
  });
  app.all("/orders", subject);
  app.get("/scoped", requireScope("orders.read", "orders.list"), subject);
  app.get("/admin", requireRole("admin"), subject);
  app.get("/keycloak", requireRoleFrom({ client: "orders" }, "admin"), subject);
  app.get("/throws", async () => {
    throw new Error("of the handler");
  });
  app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    response.status(500).send("error");
  });
  return listen(createServer({ maxHeaderSize: LONGEST_HEADER }, app));
});

it("express: metadata are for reading; other methods are passed on", () => {
  const response = { statusCode: 0, setHeader: () => undefined, end: () => undefined };
  let passed = 0;
  for (const method of ["POST", "OPTIONS", "GET", "HEAD"])
    resourceMetadata(RESOURCE)({ method, url: RESOURCE.path, headers: {} }, response, () => {
      passed += 1;
    });
  assert.equal(passed, 2);
});
