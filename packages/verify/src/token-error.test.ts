import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SenderContext } from "./binding.ts";
import type { DpopPolicy } from "./dpop-proof.ts";
import { fromStaticRecords } from "./static-trust.ts";
import { fromDiscovery } from "./discovery.ts";
import {
  bindingVerifier,
  boundToken,
  testDpop,
  makeProof,
  withProof,
  type ProofForgery,
} from "./testing/dpop.ts";
import {
  AUDIENCE,
  ENTERPRISE_RULE,
  mint,
  NOW,
  signedRecord,
  staticKey,
  verifierWith,
  type Claims,
} from "./testing/fixture.ts";
import { fetchFrom } from "./testing/foreign-issuer.ts";
import { pinOf, testKey } from "./testing/keys.ts";
import { TOKEN_ERROR_CODES, TokenError, type TokenErrorCode } from "./token-error.ts";
import type { Verifier } from "./verifier.ts";

type Provocation = () => Promise<readonly [Verifier, string, SenderContext?]>;

const standard =
  (token: string): Provocation =>
  async () => [await verifierWith([staticKey("ent-es256")]), token];

// One way to meet each code; the rules themselves are tested beside their source.
const PROVOCATIONS: Readonly<Record<TokenErrorCode, Provocation>> = {
  ERR_BINDING_MISMATCH: proven(undefined, { key: "attacker-es256" }),
  ERR_BINDING_REQUIRED: async () => [await bindingVerifier({ mtls: true, required: true }), mint()],
  ERR_BINDING_UNSUPPORTED: standard(mint({ payload: { cnf: {} } })),
  ERR_DPOP_NONCE: proven({ nonce: { check: () => false, current: () => "n" } }),
  ERR_DPOP_PROOF: proven(undefined, { payload: { htm: "POST" } }),
  ERR_DPOP_REPLAY: proven({ replay: { add: () => false } }),
  ERR_ISSUANCE_UNSUPPORTED: stapledKey,
  ERR_ISSUER_NOT_READY: unreadyIssuer,
  ERR_JOSE_ALG_NOT_ALLOWED: standard(mint({ header: { alg: "none" } })),
  ERR_JWKS_NO_MATCHING_KEY: standard(mint({ header: { kid: "nobody" } })),
  ERR_JWS_INVALID: standard("token"),
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: standard(mint({ sign: () => Buffer.alloc(64) })),
  ERR_JWT_CLAIM_VALIDATION_FAILED: standard(mint({ payload: { sub: undefined } })),
  ERR_JWT_EXPIRED: standard(mint({ payload: { iat: NOW - 600, exp: NOW - 300 } })),
  ERR_JWT_INVALID: standard(mint({ payload: "[]" })),
  ERR_KEY_SCOPE: standard(mint({ payload: { exp: NOW + 86_400 } })),
  ERR_REPLAY_STORE: proven({ replay: { add: () => assert.fail("out of order") } }),
  ERR_TOKEN_DUPLICATE_MEMBER: standard(mint({ payload: '{"a":1,"a":2}' })),
  ERR_TOKEN_HEADER: standard(mint({ header: { jku: "https://attacker.example" } })),
  ERR_TOKEN_JSON: standard(mint({ payload: "{" })),
  ERR_TOKEN_NOT_CANONICAL: standard(`${mint()}=`),
  ERR_TOKEN_TOO_LARGE: standard("x".repeat(16_385)),
  ERR_TRUST_STALE: staleTrust,
  ERR_VERIFIER_CLOSED: async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    verifier.close();
    return [verifier, mint()];
  },
};

describe("TOKEN_ERROR_CODES", () => {
  for (const [code, provoke] of Object.entries(PROVOCATIONS))
    it(`${code} can be met, and says what its description says`, async () => {
      const [verifier, token, context] = await provoke();
      assert.throws(
        () => verifier.verify(token, context),
        (error) =>
          error instanceof TokenError &&
          error.code === code &&
          error.name === "TokenError" &&
          error.status === (/STALE|CLOSED|READY|STORE/.test(code) ? 503 : 401) &&
          error.message.length > 10 &&
          !error.message.endsWith("."),
      );
    });

  it("lists exactly the codes that were met", () => {
    assert.deepEqual(
      Object.keys(TOKEN_ERROR_CODES).toSorted(),
      Object.keys(PROVOCATIONS).toSorted(),
    );
    for (const text of Object.values(TOKEN_ERROR_CODES)) assert.match(text, /^[A-Z].*[^.]$/);
  });
});

/** Of two issuers, one cannot be loaded. */
async function unreadyIssuer(): Promise<readonly [Verifier, string]> {
  const { publicJwk } = testKey("ent-rs256");
  const up = "https://up.example";
  const pages: Readonly<Record<string, Claims>> = {
    [`${up}/.well-known/openid-configuration`]: { issuer: up, jwks_uri: `${up}/keys` },
    [`${up}/keys`]: { keys: [{ ...publicJwk, kid: "k1", alg: "RS256" }] },
  };
  const issuers = [up, "https://down.example"];
  const trust = fromDiscovery({
    issuers: issuers.map((issuer) => ({ issuer, profile: "rfc9068" })),
    fetch: fetchFrom(new Map(Object.entries(pages))),
  });
  const token = mint({ header: { kid: "k2" }, payload: { iss: "https://down.example" } });
  return [await verifierWith([], { trust }), token];
}

function proven(policy: Partial<DpopPolicy> = {}, forgery: ProofForgery = {}): Provocation {
  return async () => {
    const token = boundToken();
    const verifier = await bindingVerifier({ dpop: testDpop(policy) });
    return [verifier, token, withProof(makeProof(token, forgery))];
  };
}

async function stapledKey(): Promise<readonly [Verifier, string]> {
  const { bytes, ring, record } = signedRecord("ent-es256", { issuanceFloor: "stapled" });
  const rings = { enterprise: pinOf(testKey("ring-enterprise")) };
  const trust = fromStaticRecords([{ record: bytes, ring }], { rings });
  return [await verifierWith([], { trust }), mint({ header: { kid: record.kid } })];
}

async function staleTrust(): Promise<readonly [Verifier, string]> {
  let now = NOW;
  const issuer = ENTERPRISE_RULE.issuer.replace(
    "{tenantid}",
    "0a4f1c52-6f0e-4d7b-9c51-3f1f2b7d8a01",
  );
  const { jwk, record } = signedRecord("ent-es256");
  const trust = fromDiscovery({
    issuers: [{ issuer, realm: "enterprise", ring: pinOf(testKey("ring-enterprise")) }],
    maxStaleSeconds: 600,
    schedule: () => () => undefined,
    fetch: (url) =>
      Promise.resolve(
        Response.json(
          url instanceof URL && url.pathname === "/keys"
            ? { keys: [jwk] }
            : { issuer, jwks_uri: new URL("/keys", issuer) },
        ),
      ),
  });
  const verifier = await verifierWith([], { trust, audience: AUDIENCE, now: () => now * 1000 });
  now += 600;
  return [verifier, mint({ header: { kid: record.kid } })];
}
