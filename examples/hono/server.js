import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { protectedResourceMetadata } from "@redoubt/verify";
import { authenticate, requireScope, resourceMetadata } from "@redoubt/verify/hono";
import { hint, verifier } from "../demo.js";

const resource = protectedResourceMetadata({
  resource: "https://api.example",
  authorizationServers: ["https://id.example/t1"],
  scopes: ["orders.read"],
});

export const app = new Hono();
app.use(resourceMetadata(resource));
app.use("/orders", authenticate({ verifier, resource }));
app.get("/orders", requireScope("orders.read"), (context) =>
  context.json({ subject: context.get("auth").payload.sub }),
);

if (process.argv[1] === import.meta.filename)
  serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 8080 }, () => hint(8080));
