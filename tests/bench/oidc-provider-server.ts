// The comparison: oidc-provider issuing the same token, in a process of its own, with its in-memory adapter.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const AUDIENCE = "https://api.bench.example/";
const port = Number(process.argv[2]);
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const resource = {
  scope: "orders.read",
  audience: AUDIENCE,
  accessTokenTTL: 3600,
  accessTokenFormat: "jwt",
  jwt: { sign: { alg: "ES256" } },
} as const;

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "bench",
      client_secret: process.argv[3] ?? "",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "client_secret_basic",
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: {
    keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "bench" }],
  },
  enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => AUDIENCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => resource,
    },
  },
});
provider.listen(port, "127.0.0.1", () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
