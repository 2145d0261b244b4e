import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  claims,
  DAY,
  ENTERPRISE_ISSUER,
  mint,
  NOW,
  staticKey,
  TENANT_A,
  verifierWith,
} from "./testing/fixture.ts";
import { testKey } from "./testing/keys.ts";
import { assertRefused } from "./testing/refusals.ts";
import type { Decision } from "./report-counts.ts";
import type { Sighting } from "./report-evidence.ts";
import { parseStaticKey, type StaticKey } from "./static-trust.ts";
import { TokenError } from "./token-error.ts";
import type { TrustReader, TrustSource, TrustSourceStatus } from "./trust-source.ts";
import { buildKeySet, TrustedKey, type KeysByKid } from "./trusted-key.ts";

const ALGORITHM_KEYS = ["ent-es256", "ent-ed25519", "ent-ps256", "ent-rs256"];

describe("verify()", () => {
  it("accepts a good token of each algorithm and says what it says", async () => {
    const verifier = await verifierWith(ALGORITHM_KEYS.map((name) => staticKey(name)));
    for (const name of ALGORITHM_KEYS) {
      const token = mint({ key: name, payload: { roles: ["reader"], nested: { a: [1] } } });
      const result = verifier.verify(token);
      const { alg } = testKey(name);
      assert.deepEqual(result.payload, claims({ roles: ["reader"], nested: { a: [1] } }));
      assert.deepEqual(result.protectedHeader, { alg, kid: name, typ: "at+jwt" });
      assert.deepEqual(result.key, {
        kid: name,
        alg,
        realm: "enterprise",
        issuer: ENTERPRISE_ISSUER,
      });
      assert.equal(result.tenantId, TENANT_A);
      assert.equal(result.cached, false);
      const signingInput = token.slice(0, token.lastIndexOf("."));
      assert.equal(result.digest, hash("sha256", signingInput, "base64url"));
    }
  });

  it("freezes everything that it hands out", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const token = mint({ payload: { roles: ["reader"], nested: { deep: [{ a: 1 }] } } });
    for (const { payload, protectedHeader, key } of [
      verifier.verify(token),
      verifier.verify(token),
    ])
      for (const value of [payload, payload["roles"], payload["nested"], protectedHeader, key])
        assert.equal(Object.isFrozen(value), true);
    assert.equal(Object.isFrozen(verifier.verify(token)), true);
  });

  it("takes every form of text that is no token with its own error", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    for (const text of ["", ".", "..", "...", "a.b", "a.b.c.d", "a.b.c.d.e", "{}"])
      assert.throws(() => verifier.verify(text), TokenError);
    const good = mint();
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.string({ unit: "binary", maxLength: 3 }),
        (at, junk) => {
          const bad = good.slice(0, at) + junk + good.slice(at + 1);
          if (bad !== good) assert.throws(() => verifier.verify(bad), TokenError);
        },
      ),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        assert.throws(() => verifier.verify(text), TokenError);
      }),
    );
  });

  it("refuses what is not a string as what it is", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const untyped: { verify(token: unknown): unknown } = verifier;
    for (const value of [undefined, null, 1, {}, [mint()], Buffer.from(mint())])
      assert.throws(
        () => untyped.verify(value),
        (error) => error instanceof TokenError && error.code === "ERR_JWS_INVALID",
      );
  });

  it("bounds the length of a token, on both sides", async () => {
    const token = mint();
    const key = staticKey("ent-es256");
    const exact = await verifierWith([key], { maxTokenLength: token.length });
    assert.equal(exact.verify(token).tenantId, TENANT_A);
    const shorter = await verifierWith([key], { maxTokenLength: token.length - 1 });
    assertRefused(shorter, token, "ERR_TOKEN_TOO_LARGE");
    const standard = await verifierWith([key]);
    assertRefused(standard, mint({ payload: { pad: "x".repeat(16_384) } }), "ERR_TOKEN_TOO_LARGE");
  });

  it("refuses to decide without a time", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")], { now: () => Number.NaN });
    assert.throws(
      () => verifier.verify(mint({ payload: { exp: NOW - DAY, iat: NOW - DAY - 1 } })),
      RangeError,
    );
  });

  it("names no token, claim or signature in its errors, and makes no stack trace", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const secret = "hunter2-hunter2";
    for (const forgery of [
      { payload: { aud: secret } },
      { payload: { iss: secret } },
      { payload: { sub: [secret] } },
      { header: { [secret]: 1 } },
      { header: { kid: secret } },
      { header: { typ: secret } },
      { header: { alg: secret } },
      { payload: { tid: secret } },
    ])
      assert.throws(
        () => verifier.verify(mint(forgery)),
        (error) =>
          error instanceof TokenError &&
          !JSON.stringify([error, error.message]).includes(secret) &&
          error.stack?.includes("\n    at ") !== true,
      );
    assert.equal(new Error("after").stack?.includes("\n    at "), true);
  });
});

describe("the positive cache", () => {
  it("is bounded in bytes, about: large tokens push each other out", async () => {
    const cache = { max: 1000, maxBytes: 200_000 };
    const verifier = await verifierWith([staticKey("ent-es256")], { cache });
    for (let i = 0; i < 20; i += 1)
      verifier.verify(mint({ payload: { jti: `j${i}`, filler: "x".repeat(5000) } }));
    const { size } = verifier.status().cache;
    assert.ok(size > 2 && size < 8, String(size));
    // What is larger than the whole cache is verified and not kept.
    const small = { max: 10, maxBytes: 1000 };
    const tight = await verifierWith([staticKey("ent-es256")], { cache: small });
    const token = mint();
    assert.deepEqual([tight.verify(token).cached, tight.verify(token).cached], [false, false]);
    assert.equal(tight.status().cache.size, 0);
  });

  it("knows a token again, by the whole token, and hands out the same frozen facts", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    const [token, other] = [mint(), mint()];
    const first = verifier.verify(token);
    const second = verifier.verify(token);
    assert.deepEqual(
      [first.cached, second.cached, verifier.verify(token).cached],
      [false, true, true],
    );
    assert.equal(second.payload, first.payload);
    // The same signing input under another good signature is another token.
    assert.equal(verifier.verify(other).cached, false);
    assert.deepEqual(verifier.status().cache, { size: 2, max: 10_000, hits: 2 });
    const tampered = token.slice(0, -4) + (token.endsWith("AAAA") ? "BBBA" : "AAAA");
    assertRefused(verifier, tampered, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  });

  it("is bounded: the first in goes out first", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")], { cache: { max: 2 } });
    const [a, b, c] = [mint(), mint(), mint()];
    for (const token of [a, b, a, c]) verifier.verify(token);
    assert.equal(verifier.status().cache.size, 2);
    assert.equal(verifier.verify(b).cached, true);
    assert.equal(verifier.verify(c).cached, true);
    assert.equal(verifier.verify(a).cached, false);
  });

  it("can be switched off", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")], { cache: { max: 0 } });
    const token = mint();
    assert.deepEqual(
      [verifier.verify(token).cached, verifier.verify(token).cached],
      [false, false],
    );
  });

  it("remembers no refusal", async () => {
    let now = NOW - 120;
    const verifier = await verifierWith([staticKey("ent-es256")], { now: () => now * 1000 });
    const token = mint();
    assertRefused(verifier, token, "ERR_JWT_CLAIM_VALIDATION_FAILED", "iat");
    now = NOW;
    assert.equal(verifier.verify(token).cached, false);
  });

  it("asks nbf and iat again when the clock goes back", async () => {
    let now = NOW;
    const verifier = await verifierWith([staticKey("ent-es256")], { now: () => now * 1000 });
    const token = mint();
    verifier.verify(token);
    now = NOW - 120;
    assertRefused(verifier, token, "ERR_JWT_CLAIM_VALIDATION_FAILED", "iat");
  });
});

describe("buffers that tokens share", () => {
  it("hands out nothing that the next token changes", async () => {
    const verifier = await verifierWith([staticKey("ent-es256"), staticKey("ent-ed25519")]);
    const first = verifier.verify(mint({ payload: { sub: "first" } }));
    const copy = structuredClone({ payload: first.payload, digest: first.digest });
    verifier.verify(mint({ key: "ent-ed25519", payload: { sub: "another, and longer" } }));
    assert.throws(() => verifier.verify("x.y.z"), TokenError);
    assert.deepEqual({ payload: first.payload, digest: first.digest }, copy);
    assert.equal(first.payload.sub, "first");
  });

  it("may be used again by the reporter that is told of a token", async () => {
    const seen: Sighting[] = [];
    const [outer, inner] = [mint(), mint({ key: "ent-ed25519", payload: { sub: "inner" } })];
    const reporter = {
      add(sighting: Sighting): void {
        seen.push(sighting);
        if (seen.length === 1) assert.equal(verifier.verify(inner).payload.sub, "inner");
      },
    };
    const verifier = await verifierWith([staticKey("ent-es256"), staticKey("ent-ed25519")], {
      issuance: { mode: "audit", reporter },
    });
    const { digest, payload } = verifier.verify(outer);
    assert.equal(payload.sub, "user-1");
    assert.equal(digest, hash("sha256", outer.slice(0, outer.lastIndexOf(".")), "base64url"));
    assert.deepEqual(
      seen.map(({ signature }) => signature),
      [outer, inner].map((token) => token.slice(token.lastIndexOf(".") + 1)),
    );
  });
});

describe("trust data of a verifier", () => {
  it("THREAT-02: forgets all it decided when the keys change", async () => {
    const trust = new SwappableTrust([staticKey("ent-es256"), staticKey("ent-ed25519")]);
    const verifier = await verifierWith([], { trust });
    const token = mint();
    verifier.verify(token);
    assert.equal(verifier.verify(token).cached, true);
    // The same kid with another audience list: neither token nor header of before may count.
    trust.swap([staticKey("ent-es256", { audiences: ["api://mail"] })]);
    assertRefused(verifier, token, "ERR_KEY_SCOPE", "audience");
    trust.swap([staticKey("ent-ed25519")]);
    assertRefused(verifier, token, "ERR_JWKS_NO_MATCHING_KEY");
    trust.swap([staticKey("ent-es256")]);
    assert.equal(verifier.verify(token).cached, false);
  });

  it("P7: refuses everything, also from the cache, when the trust data are stale", async () => {
    let now = NOW;
    const trust = new SwappableTrust([staticKey("ent-es256")], (NOW + 100) * 1000);
    const verifier = await verifierWith([], { trust, now: () => now * 1000 });
    const [seen, unseen] = [mint(), mint()];
    verifier.verify(seen);
    now = NOW + 99;
    assert.equal(verifier.verify(seen).cached, true);
    now = NOW + 100;
    for (const token of [seen, unseen])
      assert.equal(assertRefused(verifier, token, "ERR_TRUST_STALE").status, 503);
    assert.equal(verifier.status().keys[0]?.isFresh, false);
  });

  it("refuses everything after close(), and closes its source", async () => {
    const trust = new SwappableTrust([staticKey("ent-es256")]);
    const verifier = await verifierWith([], { trust });
    const token = mint();
    verifier.verify(token);
    await verifier[Symbol.asyncDispose]();
    assert.equal(assertRefused(verifier, token, "ERR_VERIFIER_CLOSED").status, 503);
    const { isClosed, cache } = verifier.status();
    assert.deepEqual([trust.isClosed, isClosed, cache.size], [true, true, 0]);
  });

  it("hands reload() to the source", async () => {
    const trust = new SwappableTrust([staticKey("ent-es256")]);
    const verifier = await verifierWith([], { trust });
    await verifier.reload();
    assert.equal(trust.reloads, 1);
  });

  it("counts what it saw, by code", async () => {
    const verifier = await verifierWith([staticKey("ent-es256")]);
    verifier.verify(mint());
    for (let i = 0; i < 3; i += 1) assert.throws(() => verifier.verify("x"), TokenError);
    const { accepted, refused, keys, sources } = verifier.status();
    assert.deepEqual([accepted, refused], [1, { ERR_JWS_INVALID: 3 }]);
    const { signFrom, verifyUntil } = staticKey("ent-es256");
    const key = { kid: "ent-es256", alg: "ES256", realm: "enterprise", issuer: ENTERPRISE_ISSUER };
    assert.deepEqual(keys, [{ ...key, signFrom, verifyUntil, isFresh: true }]);
    assert.deepEqual(
      sources.map(({ kind, ringPinned }) => [kind, ringPinned]),
      [["static-keys", false]],
    );
  });
});

describe("issuance audit (P4)", () => {
  it("reports each distinct token once, and only what was accepted", async () => {
    const seen: Sighting[] = [];
    const reporter = { add: (sighting: Sighting) => void seen.push(sighting) };
    const verifier = await verifierWith([staticKey("ent-es256"), staticKey("ent-ed25519")], {
      issuance: { mode: "audit", reporter },
    });
    const [es, ed] = [mint(), mint({ key: "ent-ed25519" })];
    for (const token of [es, es, ed]) verifier.verify(token);
    assertRefused(
      verifier,
      mint({ payload: { aud: "api://mail" } }),
      "ERR_JWT_CLAIM_VALIDATION_FAILED",
      "aud",
    );
    assertRefused(verifier, mint({ payload: { cnf: {} } }), "ERR_BINDING_UNSUPPORTED");
    const input = ed.slice(0, ed.lastIndexOf("."));
    assert.deepEqual(seen, [
      {
        digest: verifier.verify(es).digest,
        kid: "ent-es256",
        alg: "ES256",
        signature: es.slice(es.lastIndexOf(".") + 1),
        expiresAt: NOW + 3595,
        issuedAt: NOW - 5,
        audience: "api://orders",
      },
      {
        digest: hash("sha256", input, "base64url"),
        kid: "ent-ed25519",
        alg: "Ed25519",
        signature: ed.slice(ed.lastIndexOf(".") + 1),
        signingInput: input,
        expiresAt: NOW + 3595,
        issuedAt: NOW - 5,
        audience: "api://orders",
      },
    ]);
    assert.equal(verifier.status().issuance, "audit");
  });

  it("tells of each decision, with the issuer of the key that was named", async () => {
    const decisions: Decision[] = [];
    const reporter = {
      add: () => undefined,
      count: (decision: Decision) => void decisions.push(decision),
    };
    const verifier = await verifierWith([staticKey("ent-es256")], {
      issuance: { mode: "audit", reporter },
    });
    const token = mint();
    const { issuer } = verifier.verify(token).key;
    verifier.verify(token);
    await verifier.verifyAsync(token);
    assertRefused(verifier, mint({ payload: { exp: NOW - 100 } }), "ERR_JWT_EXPIRED", "exp");
    assertRefused(verifier, "a.b", "ERR_JWS_INVALID");
    await assert.rejects(verifier.verifyAsync("a.b"), { code: "ERR_JWS_INVALID" });
    assert.throws(() => verifier.verifyIdToken("a.b", { clientId: "c", nonce: null }), {
      code: "ERR_JWS_INVALID",
    });
    const at = { kind: "at", issuer } as const;
    const unknown = { issuer: undefined, refusal: "ERR_JWS_INVALID" } as const;
    assert.deepEqual(decisions, [
      at,
      at,
      at,
      { ...at, refusal: "ERR_JWT_EXPIRED" },
      { kind: "at", ...unknown },
      { kind: "at", ...unknown },
      { kind: "id", ...unknown },
    ]);
    assert.equal(verifier.status().accepted, 3);
  });
});

/** A source whose keys a test replaces. */
class SwappableTrust implements TrustSource, TrustReader {
  keys: KeysByKid;
  isClosed = false;
  reloads = 0;
  readonly #freshUntil: number;

  constructor(keys: readonly StaticKey[], freshUntil = Number.POSITIVE_INFINITY) {
    this.#freshUntil = freshUntil;
    this.keys = this.#build(keys);
  }

  open(): Promise<TrustReader> {
    return Promise.resolve(this);
  }

  swap(keys: readonly StaticKey[]): void {
    this.keys = this.#build(keys);
  }

  sources(): readonly TrustSourceStatus[] {
    return [];
  }

  isReady(): boolean {
    return true;
  }

  reload(): Promise<void> {
    this.reloads += 1;
    return Promise.resolve();
  }

  close(): void {
    this.isClosed = true;
  }

  #build(keys: readonly StaticKey[]): KeysByKid {
    const freshness = [{ freshUntil: this.#freshUntil }];
    return buildKeySet(keys.map((key) => new TrustedKey(parseStaticKey(key), freshness)));
  }
}
