// Stands in for an issuer, so that the examples run by themselves: a key, a verifier that trusts it, and tokens.
// A service has `createVerifier({ trust: fromDiscovery(…), … })` instead: see the README of @redoubt/verify.
import { generateKeyPairSync, sign } from "node:crypto";
import { createVerifier, fromStaticKeys } from "@redoubt/verify";

const tenant = "0a4f1c52-6f0e-4d7b-9c51-3f1f2b7d8a01";
const issuer = "https://id.example/{tenantid}";
const audience = "api://orders";
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const now = Math.floor(Date.now() / 1000);

/** A promise: requests that come before the keys get 503. */
export const verifier = createVerifier({
  trust: fromStaticKeys({
    keys: [
      {
        jwk: { ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "Ed25519" },
        issuer,
        realm: "enterprise",
        tenants: { ids: [tenant] },
        class: "at",
        audiences: [audience],
        maxLifetimeSeconds: 3600,
        signFrom: now - 60,
        signUntil: now + 86_400,
        verifyUntil: now + 90_000,
      },
    ],
  }),
  audience,
  accept: [{ issuer, realm: "enterprise", tenants: "any" }],
  issuance: "off",
});

/** A token for ten minutes. */
export function mint(claims) {
  const iat = Math.floor(Date.now() / 1000);
  const input = [
    { alg: "Ed25519", kid: "k1", typ: "at+jwt" },
    {
      iss: issuer.replace("{tenantid}", tenant),
      tid: tenant,
      sub: "u1",
      aud: audience,
      jti: "n1",
      iat,
      exp: iat + 600,
      ...claims,
    },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${input}.${sign(null, Buffer.from(input), privateKey).toString("base64url")}`;
}

/** What to try once the example listens. */
export function hint(port) {
  const token = mint({ scope: "orders.read" });
  process.stdout.write(
    `curl -i -H "Authorization: Bearer ${token}" http://127.0.0.1:${port}/orders\n`,
  );
}
