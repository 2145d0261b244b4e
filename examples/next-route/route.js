// app/orders/route.js of a Next.js application, on the Node.js runtime.
// app/.well-known/oauth-protected-resource/route.js exports `GET = resourceMetadata(resource)` in the same way.
import { protectedResourceMetadata } from "@redoubt/verify";
import { withAuth } from "@redoubt/verify/fetch";
import { verifier } from "../demo.js";

export const runtime = "nodejs";

const resource = protectedResourceMetadata({
  resource: "https://api.example",
  authorizationServers: ["https://id.example/t1"],
  scopes: ["orders.read"],
});

export const GET = withAuth((request, auth) => Response.json({ subject: auth.payload.sub }), {
  verifier,
  resource,
  scopes: ["orders.read"],
});
