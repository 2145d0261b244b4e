import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ENTRA, foreignToken, foreignVerifier } from "./testing/foreign-issuer.ts";
import { outcome } from "./testing/outcome.ts";

describe("verifyIdToken()", () => {
  it("takes an ID token for this client, with the nonce that was sent or without one", async () => {
    const verifier = await foreignVerifier(ENTRA);
    const claims = { aud: "client-1", azp: undefined };
    const bare = foreignToken(ENTRA, { claims });
    const answer = foreignToken(ENTRA, { claims: { ...claims, nonce: "n-1" } });
    const clientId = "client-1";
    assert.equal(verifier.verifyIdToken(bare, { clientId, nonce: null }).tenantId, ENTRA.tenant);
    assert.equal(verifier.verifyIdToken(answer, { clientId, nonce: "n-1" }).payload.sub, "s");
    const refused = ["ERR_JWT_CLAIM_VALIDATION_FAILED", "nonce"];
    for (const [token, nonce] of [
      [bare, "n-1"],
      [answer, null],
      [answer, "n-2"],
    ] as const)
      assert.deepEqual(
        outcome(() => verifier.verifyIdToken(token, { clientId, nonce })),
        refused,
      );
    const unknown = foreignToken(ENTRA, { header: { kid: "k2" }, claims });
    assert.deepEqual(
      outcome(() => verifier.verifyIdToken(unknown, { clientId, nonce: null })),
      ["ERR_JWKS_NO_MATCHING_KEY", undefined],
    );
    const [header] = bare.split(".");
    const list = `${header}.${Buffer.from("[]").toString("base64url")}.AAAA`;
    assert.deepEqual(
      outcome(() => verifier.verifyIdToken(list, { clientId, nonce: null })),
      ["ERR_JWT_INVALID", undefined],
    );
    verifier.close();
    assert.deepEqual(
      outcome(() => verifier.verifyIdToken(bare, { clientId, nonce: null })),
      ["ERR_VERIFIER_CLOSED", undefined],
    );
    assert.equal(verifier.isReady(), false);
  });

  it("is told whom the token is for, and which nonce was sent", async () => {
    const verifier = await foreignVerifier(ENTRA);
    const untyped: { verifyIdToken(token: string, expected: unknown): unknown } = verifier;
    const token = foreignToken(ENTRA, { claims: { aud: "client-1" } });
    for (const expected of [
      {},
      { clientId: "client-1" },
      { nonce: null },
      { clientId: "", nonce: null },
      { clientId: ["client-1"], nonce: null },
      { clientId: "client-1", nonce: "" },
      { clientId: "client-1", nonce: 1 },
    ])
      assert.throws(
        () => untyped.verifyIdToken(token, expected),
        /^TypeError: verifyIdToken: expected/,
        JSON.stringify(expected),
      );
    verifier.close();
  });
});
