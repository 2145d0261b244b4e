import { fastify } from "fastify";
import { protectedResourceMetadata } from "@redoubt/verify";
import { authenticate, requireScope, resourceMetadata } from "@redoubt/verify/fastify";
import { hint, verifier } from "../demo.js";

const resource = protectedResourceMetadata({
  resource: "https://api.example",
  authorizationServers: ["https://id.example/t1"],
  scopes: ["orders.read"],
});

export const app = fastify();
await app.register(resourceMetadata, { resource });
await app.register(async (api) => {
  await api.register(authenticate, { verifier, resource });
  api.get("/orders", { onRequest: requireScope("orders.read") }, async (request) => ({
    subject: request.auth.payload.sub,
  }));
});

if (process.argv[1] === import.meta.filename) {
  await app.listen({ host: "127.0.0.1", port: 8080 });
  hint(8080);
}
