import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { NOW, type Claims } from "./testing/fixture.ts";
import {
  ENTRA,
  foreignToken,
  foreignVerifier,
  KEY,
  SHAPES,
  type Change,
} from "./testing/foreign-issuer.ts";
import { TokenError } from "./token-error.ts";
import type { VerifiedToken } from "./verified-token.ts";

const EXPECTED = { clientId: "web", nonce: "n-1" } as const;
const ID: Claims = { aud: "web", azp: undefined, nonce: "n-1", scp: undefined };

/** What makes an access token's shape one of an ID token, for each kind of issuer. */
const OF: Readonly<Record<string, Change>> = {
  keycloak: { claims: { typ: "ID", azp: "web" } },
  okta: { claims: { cid: undefined } },
  auth0: { header: { typ: "JWT" }, claims: { client_id: undefined } },
  cognito: { claims: { token_use: "id", client_id: undefined } },
  rfc9068: { header: { typ: "JWT" }, claims: { client_id: undefined } },
  kubernetes: { claims: { "kubernetes.io": undefined } },
};

function idChange(name: string, more: Claims = {}): Change {
  const own = OF[name] ?? {};
  return { ...own, claims: { ...ID, ...own.claims, ...more } };
}

function refuses(
  act: () => unknown,
  part?: string,
  code = "ERR_JWT_CLAIM_VALIDATION_FAILED",
): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof TokenError, String(error));
    assert.deepEqual([error.code, error.part], [code, part]);
    return true;
  });
}

/** What verifies an ID token with these changes. */
async function of(
  claims: Claims,
  expected: object = EXPECTED,
  header: Claims = {},
): Promise<() => VerifiedToken> {
  const verifier = await foreignVerifier(ENTRA);
  const change = idChange("entra v2", claims);
  const token = foreignToken(ENTRA, { ...change, header });
  return () => verifier.verifyIdToken(token, { ...EXPECTED, ...expected });
}

describe("verifyIdToken(): OpenID Connect Core §3.1.3.7", () => {
  for (const shape of SHAPES)
    it(`${shape.name}: an ID token is taken for its client, and is no access token`, async () => {
      const verifier = await foreignVerifier(shape);
      const token = foreignToken(shape, idChange(shape.name));
      assert.equal(verifier.verifyIdToken(token, EXPECTED).payload["nonce"], "n-1");
      assert.throws(() => verifier.verify(token), TokenError);
      verifier.close();
    });

  it("refuses each single mistake for its reason", async () => {
    refuses(await of({ aud: "other" }), "aud");
    refuses(await of({ aud: ["web", "other"] }), "aud");
    refuses(await of({ aud: undefined }), "aud");
    refuses(await of({ azp: "other" }), "azp");
    refuses(await of({ nonce: "n-2" }), "nonce");
    refuses(await of({ nonce: undefined }), "nonce");
    refuses(await of({}, { nonce: null }), "nonce");
    refuses(await of({ sub: undefined }), "sub");
    refuses(await of({ iat: undefined }), "iat");
    refuses(await of({ exp: NOW - 61, iat: NOW - 100 }), "exp", "ERR_JWT_EXPIRED");
    refuses(await of({ tid: undefined }), "tid");
    refuses(await of({ cnf: { jkt: "x" } }), undefined, "ERR_BINDING_UNSUPPORTED");
    refuses(await of({}, {}, { typ: "at+jwt" }), "typ");
    refuses(await of({}, {}, { typ: undefined }), "typ");
    assert.equal((await of({ nonce: undefined }, { nonce: null }))().payload.sub, "s");
    assert.equal((await of({ aud: ["web"], azp: "web" }))().payload.sub, "s");
  });

  it("at_hash is the hash of the access token that came with it", async () => {
    const accessToken = "an.access.token";
    const at_hash = hash("sha256", accessToken, "buffer").subarray(0, 16).toString("base64url");
    assert.equal((await of({ at_hash }, { accessToken }))().payload.sub, "s");
    refuses(await of({ at_hash }, { accessToken: "another" }), "at_hash");
    refuses(await of({}, { accessToken }), "at_hash");
  });

  it("an expectation that says nothing is a mistake of the programmer", async () => {
    const verifier = await foreignVerifier(ENTRA);
    const untyped: { verifyIdToken(token: string, expected: unknown): unknown } = verifier;
    for (const expected of [{}, { clientId: "web" }, { clientId: "", nonce: null }, { nonce: "n" }])
      assert.throws(() => untyped.verifyIdToken(foreignToken(ENTRA), expected), TypeError);
    verifier.close();
  });

  it("another's signature is none, and a closed verifier decides nothing", async () => {
    const verifier = await foreignVerifier(ENTRA);
    const change = idChange("entra v2");
    const forged = foreignToken(ENTRA, { ...change, key: "attacker-rs256" });
    const code = "ERR_JWS_SIGNATURE_VERIFICATION_FAILED";
    assert.throws(() => verifier.verifyIdToken(forged, EXPECTED), { code });
    assert.equal(verifier.status().refused[code], 1);
    const good = foreignToken(ENTRA, { ...change, key: KEY });
    verifier.close();
    assert.throws(() => verifier.verifyIdToken(good, EXPECTED), { code: "ERR_VERIFIER_CLOSED" });
  });
});
