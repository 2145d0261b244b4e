import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SenderContext } from "./binding.ts";
import { dpop } from "./dpop-proof.ts";
import { createReplayStore, type ReplayStore } from "./replay-store.ts";
import {
  bindingVerifier,
  boundToken,
  CLIENT_KEY,
  testDpop,
  makeProof,
  METHOD,
  readClientCertificate,
  thumbprint,
  URL_OF_REQUEST,
  withProof,
} from "./testing/dpop.ts";
import { ENTERPRISE_RULE, mint, NOW, staticKey, verifierWith } from "./testing/fixture.ts";
import { assertRefused } from "./testing/refusals.ts";
import { fromStaticKeys } from "./static-trust.ts";
import { TokenError } from "./token-error.ts";
import { createVerifier, type Verifier } from "./verifier.ts";

const TOKEN = boundToken();
const CERTIFICATE = readClientCertificate();
const X5T = Buffer.from(CERTIFICATE.fingerprint256.replaceAll(":", ""), "hex").toString(
  "base64url",
);

let proofs = 0;
/** The context of a good proof that was never used. */
function freshProof(token = TOKEN, jti = `proof-${(proofs += 1)}`): SenderContext {
  return withProof(makeProof(token, { payload: { jti } }));
}

async function refusesAsync(
  verifying: Promise<unknown>,
  code: string,
  part?: string,
): Promise<TokenError> {
  try {
    await verifying;
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    assert.deepEqual([error.code, error.part], [code, part]);
    return error;
  }
  return assert.fail(`accepted, expected ${code}`);
}

describe("binding: the claim cnf", () => {
  it("is refused where nothing can be checked, with or without proof", async () => {
    for (const binding of [undefined, "off"] as const) {
      const verifier = await verifierWith([staticKey("ent-es256")], binding && { binding });
      for (const context of [undefined, freshProof()])
        assertRefused(verifier, TOKEN, "ERR_BINDING_UNSUPPORTED", undefined, context);
    }
  });

  it("is refused where this kind cannot be checked", async () => {
    const dpopOnly = await bindingVerifier();
    const mtlsOnly = await bindingVerifier({ mtls: true });
    const both = boundToken({ jkt: thumbprint(CLIENT_KEY), "x5t#S256": X5T });
    const code = "ERR_BINDING_UNSUPPORTED";
    assertRefused(dpopOnly, boundToken({ "x5t#S256": X5T }), code, "x5t#S256");
    assertRefused(dpopOnly, both, code, "x5t#S256", freshProof(both));
    assertRefused(mtlsOnly, TOKEN, code, "jkt", freshProof());
    assertRefused(mtlsOnly, both, code, "jkt", { clientCertificate: CERTIFICATE.raw });
  });

  it("is refused with a member that nobody knows, alone or beside a good one", async () => {
    const verifier = await bindingVerifier({ dpop: testDpop(), mtls: true });
    for (const name of ["jwk", "kid", "jku", "jwe", "x5t", "JKT", "toString", "x"])
      for (const good of [{}, { jkt: thumbprint(CLIENT_KEY) }]) {
        const token = boundToken({ ...good, [name]: thumbprint(CLIENT_KEY) });
        assertRefused(verifier, token, "ERR_BINDING_UNSUPPORTED", "unknown", freshProof(token));
      }
  });

  it("is refused where it is malformed", async () => {
    const verifier = await bindingVerifier({ dpop: testDpop(), mtls: true });
    const jkt = thumbprint(CLIENT_KEY);
    for (const cnf of [
      null,
      "",
      jkt,
      [jkt],
      {},
      { jkt: null },
      { jkt: [jkt] },
      { jkt: "" },
      { jkt: `${jkt}=` },
      { jkt: jkt.slice(1) },
      { jkt: `${jkt.slice(0, -1)}_` },
      { "x5t#S256": 1 },
      { jkt, "x5t#S256": "x" },
    ]) {
      const token = boundToken(cnf);
      const context = { ...freshProof(token), clientCertificate: CERTIFICATE.raw };
      assertRefused(verifier, token, "ERR_JWT_CLAIM_VALIDATION_FAILED", "cnf", context);
    }
  });

  it("may be missing, unless it is required", async () => {
    const token = mint();
    const lenient = await bindingVerifier({ dpop: testDpop(), mtls: true });
    assert.equal(lenient.verify(token).payload["cnf"], undefined);
    for (const binding of [{ dpop: testDpop() }, { mtls: true }]) {
      const strict = await bindingVerifier({ ...binding, required: true });
      const context = { clientCertificate: CERTIFICATE.raw };
      assertRefused(strict, token, "ERR_BINDING_REQUIRED");
      assertRefused(strict, token, "ERR_BINDING_REQUIRED", undefined, context);
    }
    const strict = await bindingVerifier({ dpop: testDpop(), required: true });
    assertRefused(strict, token, "ERR_BINDING_REQUIRED", undefined, freshProof(token));
    assert.equal(strict.verify(TOKEN, freshProof()).cached, false);
  });
});

describe("binding: DPoP", () => {
  it("takes a bound token with a proof of its key, and not without", async () => {
    const verifier = await bindingVerifier();
    assert.equal(verifier.verify(TOKEN, freshProof()).payload.sub, "user-1");
    for (const context of [
      undefined,
      {},
      { dpop: undefined },
      withProof(undefined),
      withProof([]),
      { clientCertificate: CERTIFICATE.raw },
    ])
      assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "missing", context);
    assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "form", withProof(""));
  });

  it("takes exactly one proof", async () => {
    const verifier = await bindingVerifier();
    const [one, other] = ["a", "b"].map((jti) => makeProof(TOKEN, { payload: { jti } }));
    assert.ok(one !== undefined && other !== undefined);
    for (const proof of [
      [one, other],
      [one, one],
      ["", one],
    ])
      assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "several", withProof(proof));
    // As Node.js joins the values of a header that was sent twice.
    assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "form", withProof(`${one}, ${other}`));
    assert.equal(verifier.verify(TOKEN, withProof([one])).cached, true);
  });

  it("RFC 9449 §7.1: never ignores a proof", async () => {
    const mtls = boundToken({ "x5t#S256": X5T });
    const clientCertificate = CERTIFICATE.raw;
    for (const verifier of [
      await bindingVerifier({ dpop: testDpop(), mtls: true }),
      await bindingVerifier({ mtls: true }),
      await verifierWith([staticKey("ent-es256")]),
    ]) {
      assertRefused(verifier, mint(), "ERR_BINDING_MISMATCH", "jkt", freshProof(mint()));
      assertRefused(verifier, mint(), "ERR_BINDING_MISMATCH", "jkt", withProof(""));
      assertRefused(verifier, mint(), "ERR_DPOP_PROOF", "several", withProof(["", ""]));
      // A request without the header is what it is.
      for (const proof of [undefined, []])
        assert.equal(verifier.verify(mint(), withProof(proof)).payload.sub, "user-1");
    }
    const verifier = await bindingVerifier({ dpop: testDpop(), mtls: true });
    assertRefused(verifier, mtls, "ERR_BINDING_MISMATCH", "jkt", {
      ...freshProof(mtls),
      clientCertificate,
    });
  });

  it("refuses a token that was stolen, with the thief's proof or another token's", async () => {
    const verifier = await bindingVerifier();
    const thief = makeProof(TOKEN, { key: "attacker-es256" });
    assertRefused(verifier, TOKEN, "ERR_BINDING_MISMATCH", "jkt", withProof(thief));
    const other = mint({ payload: { cnf: { jkt: thumbprint(CLIENT_KEY) }, jti: "other" } });
    assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "ath", freshProof(other));
  });

  it("checks the binding again when it knows the token", async () => {
    for (const max of [0, 10]) {
      const verifier = await bindingVerifier(undefined, { cache: { max } });
      const first = freshProof();
      assert.equal(verifier.verify(TOKEN, first).cached, false);
      assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "missing");
      assertRefused(verifier, TOKEN, "ERR_DPOP_REPLAY", undefined, first);
      const thief = makeProof(TOKEN, { key: "attacker-es256" });
      assertRefused(verifier, TOKEN, "ERR_BINDING_MISMATCH", "jkt", withProof(thief));
      const post = withProof(makeProof(TOKEN), { method: "POST" });
      assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "htm", post);
      assert.equal(verifier.verify(TOKEN, freshProof()).cached, max > 0);
      assert.equal(verifier.status().accepted, 2);
      assert.deepEqual(verifier.status().refused, {
        ERR_BINDING_MISMATCH: 1,
        ERR_DPOP_PROOF: 2,
        ERR_DPOP_REPLAY: 1,
      });
    }
  });
});

describe("binding: replay", () => {
  it("refuses a proof until it is too old, and then because it is too old", async () => {
    let now = NOW;
    const clock = (): number => now * 1000;
    const verifier = await bindingVerifier(
      { dpop: dpop({ replay: createReplayStore({ now: clock }) }) },
      { now: clock },
    );
    const ahead = withProof(makeProof(TOKEN, { payload: { jti: "ahead", iat: NOW + 5 } }));
    verifier.verify(TOKEN, ahead);
    now = NOW + 305;
    assertRefused(verifier, TOKEN, "ERR_DPOP_REPLAY", undefined, ahead);
    now = NOW + 306;
    assertRefused(verifier, TOKEN, "ERR_DPOP_PROOF", "iat", ahead);
  });

  it("keeps senders and URLs apart", async () => {
    const verifier = await bindingVerifier();
    verifier.verify(TOKEN, freshProof(TOKEN, "same"));
    assertRefused(verifier, TOKEN, "ERR_DPOP_REPLAY", undefined, freshProof(TOKEN, "same"));
    const token = boundToken({ jkt: thumbprint("ent-ed25519") });
    const proof = makeProof(token, { key: "ent-ed25519", payload: { jti: "same" } });
    assert.equal(verifier.verify(token, withProof(proof)).cached, false);
    const url = `${URL_OF_REQUEST}/lines`;
    const elsewhere = makeProof(TOKEN, { payload: { jti: "same", htu: url } });
    assert.equal(verifier.verify(TOKEN, withProof(elsewhere, { url })).cached, true);
  });

  it("does not use up a proof that was refused", async () => {
    const replay = createReplayStore({ now: () => NOW * 1000 });
    const verifier = await bindingVerifier({ dpop: dpop({ replay }), mtls: true });
    const token = boundToken({ jkt: thumbprint(CLIENT_KEY), "x5t#S256": X5T });
    const context = freshProof(token);
    assertRefused(verifier, token, "ERR_BINDING_MISMATCH", "x5t#S256", context);
    assertRefused(verifier, token, "ERR_DPOP_PROOF", "htm", {
      ...withProof(makeProof(token), { method: "POST" }),
      clientCertificate: CERTIFICATE.raw,
    });
    assert.equal(replay.size, 0);
    verifier.verify(token, { ...context, clientCertificate: CERTIFICATE.raw });
    assert.equal(replay.size, 1);
  });

  it("refuses new proofs when the store is full, and known ones as replays", async () => {
    let now = NOW;
    const clock = (): number => now * 1000;
    const replay = createReplayStore({ maxEntries: 1, now: clock });
    const verifier = await bindingVerifier({ dpop: dpop({ replay }) }, { now: clock });
    const first = freshProof();
    verifier.verify(TOKEN, first);
    const full = assertRefused(verifier, TOKEN, "ERR_REPLAY_STORE", "full", freshProof());
    assert.equal(full.status, 503);
    assertRefused(verifier, TOKEN, "ERR_DPOP_REPLAY", undefined, first);
    now = NOW + 301;
    const later = makeProof(TOKEN, { payload: { jti: "later", iat: now } });
    assert.equal(verifier.verify(TOKEN, withProof(later)).cached, true);
  });

  it("asks a store that answers later, with verifyAsync() alone", async () => {
    const asked: (readonly [string, number])[] = [];
    const known = new Set<string>();
    const replay: ReplayStore = {
      add: async (key, expiresAtSeconds) => {
        asked.push([key, expiresAtSeconds]);
        await Promise.resolve();
        return known.size < known.add(key).size;
      },
    };
    const verifier = await bindingVerifier({ dpop: dpop({ replay }) });
    const context = freshProof();
    const [one, two] = await Promise.allSettled([
      verifier.verifyAsync(TOKEN, context),
      verifier.verifyAsync(TOKEN, context),
    ]);
    assert.deepEqual([one.status, two.status], ["fulfilled", "rejected"]);
    await refusesAsync(verifier.verifyAsync(TOKEN, context), "ERR_DPOP_REPLAY");
    assert.equal(asked[0]?.[1], NOW + 301);
    await refusesAsync(verifier.verifyAsync(TOKEN), "ERR_DPOP_PROOF", "missing");
    await refusesAsync(verifier.verifyAsync("x"), "ERR_JWS_INVALID");
    assert.equal((await verifier.verifyAsync(mint())).payload.sub, "user-1");
    assert.throws(() => verifier.verify(TOKEN, freshProof()), TypeError);
    assert.deepEqual(
      [verifier.status().accepted, verifier.status().refused],
      [2, { ERR_DPOP_PROOF: 1, ERR_DPOP_REPLAY: 2, ERR_JWS_INVALID: 1 }],
    );
  });

  it("works with verifyAsync() where the store answers at once", async () => {
    const verifier = await bindingVerifier();
    const context = freshProof();
    assert.equal((await verifier.verifyAsync(TOKEN, context)).cached, false);
    await refusesAsync(verifier.verifyAsync(TOKEN, context), "ERR_DPOP_REPLAY");
  });

  it("P7: accepts nothing when the store fails, or answers with no boolean", async () => {
    const cause = new Error("connection lost");
    const throwing = await bindingVerifier({
      dpop: testDpop({
        replay: {
          add: () => {
            throw cause;
          },
        },
      }),
    });
    const error = assertRefused(throwing, TOKEN, "ERR_REPLAY_STORE", "failed", freshProof());
    assert.deepEqual([error.status, error.cause], [503, cause]);
    const rejecting = await bindingVerifier({
      dpop: testDpop({ replay: { add: () => Promise.reject(cause) } }),
    });
    const later = await refusesAsync(
      rejecting.verifyAsync(TOKEN, freshProof()),
      "ERR_REPLAY_STORE",
      "failed",
    );
    assert.deepEqual([later.status, later.cause], [503, cause]);
    // Its failure is nobody's unhandled rejection.
    assert.throws(() => rejecting.verify(TOKEN, freshProof()), TypeError);
    for (const answer of ['"OK"', "1", "null"]) {
      const replay: ReplayStore = { add: () => JSON.parse(answer) };
      const verifier = await bindingVerifier({ dpop: dpop({ replay }) });
      assert.throws(() => verifier.verify(TOKEN, freshProof()), TypeError);
      await assert.rejects(verifier.verifyAsync(TOKEN, freshProof()), TypeError);
    }
  });

  it("accepts nothing after it was closed, though the store answers then", async () => {
    const replay: ReplayStore = { add: () => Promise.resolve(true) };
    const verifier = await bindingVerifier({ dpop: dpop({ replay }) });
    const verifying = verifier.verifyAsync(TOKEN, freshProof());
    verifier.close();
    await refusesAsync(verifying, "ERR_VERIFIER_CLOSED");
  });
});

describe("binding: mutual TLS", () => {
  const token = boundToken({ "x5t#S256": X5T });

  it("RFC 8705 §3: takes a bound token over the connection of its certificate, and no other", async () => {
    const verifier = await bindingVerifier({ mtls: true });
    const der = CERTIFICATE.raw;
    assert.equal(verifier.verify(token, { clientCertificate: der }).cached, false);
    assert.equal(verifier.verify(token, { clientCertificate: new Uint8Array(der) }).cached, true);
    const other = Buffer.from(der);
    other[other.length - 1] = (other.at(-1) ?? 0) ^ 1;
    for (const clientCertificate of [
      undefined,
      other,
      new Uint8Array(),
      Buffer.from(CERTIFICATE.toString()),
      CERTIFICATE.publicKey.export({ type: "spki", format: "der" }),
    ])
      assertRefused(verifier, token, "ERR_BINDING_MISMATCH", "x5t#S256", { clientCertificate });
    assertRefused(verifier, token, "ERR_BINDING_MISMATCH", "x5t#S256");
  });

  it("lets a connection have a certificate though the token is not bound to one", async () => {
    const verifier = await bindingVerifier({ mtls: true, dpop: testDpop() });
    const context = { clientCertificate: CERTIFICATE.raw };
    assert.equal(verifier.verify(mint(), context).cached, false);
    assert.equal(verifier.verify(TOKEN, { ...freshProof(), ...context }).cached, false);
  });

  it("asks for both where a token is bound to both", async () => {
    const verifier = await bindingVerifier({ mtls: true, dpop: testDpop() });
    const both = boundToken({ jkt: thumbprint(CLIENT_KEY), "x5t#S256": X5T });
    const clientCertificate = CERTIFICATE.raw;
    assertRefused(verifier, both, "ERR_DPOP_PROOF", "missing", { clientCertificate });
    assertRefused(verifier, both, "ERR_BINDING_MISMATCH", "x5t#S256", freshProof(both));
    assert.equal(verifier.verify(both, { ...freshProof(both), clientCertificate }).cached, true);
  });
});

describe("binding: misuse", () => {
  it("refuses options that are unknown, malformed or out of range", async () => {
    const untyped: { create(options: unknown): Promise<Verifier> } = { create: createVerifier };
    for (const [binding, message] of [
      [null, /binding/],
      ["on", /binding/],
      [{}, /binding: expected dpop/],
      [{ required: true }, /binding: expected dpop/],
      [{ mtls: false }, /binding: expected dpop/],
      [{ mtls: 1 }, /mtls/],
      [{ mtls: true, required: "yes" }, /required/],
      [{ mtls: true, dpopp: {} }, /dpopp/],
      [{ dpop: null, mtls: true }, /dpop/],
      ...[true, {}, { replay: createReplayStore() }].map(
        (value) => [{ dpop: value }, /dpop: expected what dpop/] as const,
      ),
    ] as const)
      await assert.rejects(
        () =>
          untyped.create({
            trust: fromStaticKeys({ keys: [staticKey("ent-es256")] }),
            audience: "api://orders",
            accept: [ENTERPRISE_RULE],
            issuance: "off",
            binding,
          }),
        (error) => error instanceof TypeError && message.test(error.message),
        JSON.stringify(binding),
      );
  });

  it("refuses options of dpop() that are unknown, malformed or out of range", async () => {
    const untyped: { make(policy: unknown): unknown } = { make: dpop };
    const replay = createReplayStore();
    for (const [policy, message] of [
      [true, /dpop: not an object/],
      [null, /dpop: not an object/],
      [{}, /replay/],
      [{ replay: {} }, /replay/],
      [{ replay, algs: [] }, /algs/],
      [{ replay, nonce: null }, /nonce/],
      [{ replay, nonce: { check: () => true } }, /nonce/],
      [{ replay, nonce: { current: () => "n" } }, /nonce/],
      ...[0, 601, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "60"].map(
        (maxAgeSeconds) => [{ replay, maxAgeSeconds }, /maxAgeSeconds/] as const,
      ),
      ...[-1, 61, Number.NaN].map(
        (maxAheadSeconds) => [{ replay, maxAheadSeconds }, /maxAheadSeconds/] as const,
      ),
    ] as const)
      assert.throws(
        () => untyped.make(policy),
        (error) => error instanceof TypeError && message.test(error.message),
        JSON.stringify(policy),
      );
    const bounds = { maxAgeSeconds: 600, maxAheadSeconds: 60 };
    await bindingVerifier({ dpop: dpop({ replay, ...bounds }), mtls: false, required: false });
  });

  it("refuses a context that is malformed", async () => {
    const verifier = await bindingVerifier({ dpop: testDpop(), mtls: true });
    const untyped: { verify(token: string, context: unknown): unknown } = verifier;
    const proof = makeProof(TOKEN);
    const request = { proof, method: METHOD, url: URL_OF_REQUEST };
    for (const context of [
      null,
      "x",
      { dPoP: request },
      { dpop: null },
      { dpop: { ...request, uri: "x" } },
      { dpop: { ...request, proof: 1 } },
      { dpop: { ...request, proof: [undefined] } },
      { dpop: { ...request, proof: { length: 1, 0: proof } } },
      { dpop: { proof, url: URL_OF_REQUEST } },
      { dpop: { proof, method: METHOD, url: new URL(URL_OF_REQUEST) } },
    ])
      assert.throws(
        () => untyped.verify(TOKEN, context),
        { name: "TypeError", message: /^context/ },
        JSON.stringify(context),
      );
    const bound = boundToken({ "x5t#S256": X5T });
    for (const clientCertificate of [CERTIFICATE.toString(), CERTIFICATE, null])
      assert.throws(() => untyped.verify(bound, { clientCertificate }), TypeError);
  });
});
