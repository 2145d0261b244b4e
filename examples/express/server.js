import express from "express";
import { protectedResourceMetadata } from "@redoubt/verify";
import { authenticate, requireScope, resourceMetadata } from "@redoubt/verify/express";
import { hint, verifier } from "../demo.js";

const resource = protectedResourceMetadata({
  resource: "https://api.example",
  authorizationServers: ["https://id.example/t1"],
  scopes: ["orders.read"],
});

export const app = express();
app.use(resourceMetadata(resource));
app.use("/orders", authenticate({ verifier, resource }));
app.get("/orders", requireScope("orders.read"), (request, response) => {
  response.json({ subject: request.auth.payload.sub });
});

if (process.argv[1] === import.meta.filename) app.listen(8080, "127.0.0.1", () => hint(8080));
