import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from "jose";
import { DPOP, type DpopExpectation, type DpopUse } from "./binding-options.ts";
import {
  boundToken,
  CLIENT_KEY,
  testDpop,
  makeProof,
  METHOD,
  thumbprint,
  URL_OF_REQUEST,
  type ProofForgery,
} from "./testing/dpop.ts";
import { NOW } from "./testing/fixture.ts";
import { signPss, signWith, testKey } from "./testing/keys.ts";
import { outcome } from "./testing/outcome.ts";
import { TokenError } from "./token-error.ts";

const TOKEN = boundToken();
const GOOD: DpopExpectation = {
  token: TOKEN,
  jkt: thumbprint(CLIENT_KEY),
  method: METHOD,
  url: URL_OF_REQUEST,
  nowSeconds: NOW,
};

function use(forgery: ProofForgery = {}, expected: Partial<DpopExpectation> = {}): DpopUse {
  return testDpop()[DPOP](makeProof(TOKEN, forgery), { ...GOOD, ...expected });
}

/** "valid", or why a proof of this form is refused. */
function result(
  forgery: ProofForgery,
  expected: Partial<DpopExpectation> = {},
): ReturnType<typeof outcome> {
  return outcome(() => use(forgery, expected));
}

function refused(part: string): readonly [string, string] {
  return ["ERR_DPOP_PROOF", part];
}

// RFC 9449 §7.1, figure 12, and §6.1, figure 8.
const RFC_PROOF =
  "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo" +
  "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJq" +
  "dGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNv" +
  "dXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqz" +
  "hrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
const RFC_EXPECTED: DpopExpectation = {
  token: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
  jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
  method: "GET",
  url: "https://resource.example.org/protectedresource",
  nowSeconds: 1_562_262_618,
};

describe("DPoP proof", () => {
  it("accepts the example of RFC 9449 §7.1, and no other request, token, key or time for it", () => {
    const check = testDpop();
    assert.equal(check[DPOP](RFC_PROOF, RFC_EXPECTED).expiresAtSeconds, 1_562_262_919);
    for (const [changes, expected] of [
      [{ token: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxV" }, refused("ath")],
      [{ jkt: thumbprint(CLIENT_KEY) }, ["ERR_BINDING_MISMATCH", "jkt"]],
      [{ method: "POST" }, refused("htm")],
      [{ url: "https://resource.example.org/other" }, refused("htu")],
      [{ nowSeconds: NOW }, refused("iat")],
    ] as const)
      assert.deepEqual(
        outcome(() => check[DPOP](RFC_PROOF, { ...RFC_EXPECTED, ...changes })),
        expected,
      );
  });

  it("accepts each algorithm, and EdDSA for Ed25519", () => {
    for (const key of ["con-es256", "ent-ed25519", "ent-ps256", "ent-rs256"])
      assert.equal(result({ key }, { jkt: thumbprint(key) }), "valid", key);
    const key = "ent-ed25519";
    assert.equal(result({ key, header: { alg: "EdDSA" } }, { jkt: thumbprint(key) }), "valid");
  });

  it("accepts what another library makes, and agrees with it about thumbprints", async () => {
    for (const alg of ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"]) {
      const { publicKey, privateKey } = await generateKeyPair(alg);
      const jwk = await exportJWK(publicKey);
      const proof = await new SignJWT({
        htm: METHOD,
        htu: URL_OF_REQUEST,
        ath: hash("sha256", TOKEN, "base64url"),
      })
        .setProtectedHeader({ typ: "dpop+jwt", alg, jwk })
        .setJti("j")
        .setIssuedAt(NOW)
        .sign(privateKey);
      const jkt = await calculateJwkThumbprint(jwk);
      assert.equal(testDpop()[DPOP](proof, { ...GOOD, jkt }).expiresAtSeconds, NOW + 301, alg);
    }
  });

  it("check 2, 3: is one compact JWS with all claims", () => {
    const check = testDpop();
    const proof = makeProof(TOKEN);
    const [header = "", payload = "", signature = ""] = proof.split(".");
    for (const [text, part] of [
      ["", "form"],
      ["..", "json"],
      [`${header}.${payload}`, "form"],
      [`${proof}.`, "form"],
      [`${proof}.${signature}.${signature}`, "form"],
      [`${proof}=`, "form"],
      [`${header}=.${payload}.${signature}`, "form"],
      [`${proof}, ${proof}`, "form"],
      [` ${proof}`, "form"],
      // Another text of the same payload has another signature.
      [`${header}.${payload}=.${signature}`, "signature"],
    ] as const)
      assert.deepEqual(
        outcome(() => check[DPOP](text, GOOD)),
        refused(part),
        text,
      );
    for (const claim of ["jti", "htm", "htu", "iat", "ath"])
      assert.deepEqual(result({ payload: { [claim]: undefined } }), refused(claim));
  });

  it("is at most 8 KiB long, on both sides", () => {
    const bare = makeProof(TOKEN, { payload: { pad: "" } }).length;
    const pad = "x".repeat(((8192 - bare) * 3) / 4 - 3);
    assert.equal(result({ payload: { pad } }), "valid");
    assert.deepEqual(result({ payload: { pad: `${pad}${"x".repeat(9)}` } }), refused("size"));
  });

  it("is strict JSON: no member twice, no escaped names, no other bytes", () => {
    const { publicJwk } = testKey(CLIENT_KEY);
    const members = `"alg":"ES256","jwk":${JSON.stringify(publicJwk)}`;
    assert.equal(result({ header: `{"typ":"dpop+jwt",${members}}` }), "valid");
    for (const header of [
      `{"typ":"dpop+jwt","typ":"dpop+jwt",${members}}`,
      `{"\\u0074yp":"dpop+jwt",${members}}`,
      `{"typ":"dpop+jwt",${members}} x`,
      "[]",
      "",
    ])
      assert.deepEqual(result({ header }), refused("json"), header);
    for (const payload of ['{"jti":"a","jti":"b"}', "[]", "null", '"x"', "{"])
      assert.deepEqual(result({ payload }), refused("json"), payload);
  });

  it("check 4: is typed as a proof, so that no other token is one", () => {
    for (const typ of [undefined, "JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", 1, null])
      assert.deepEqual(result({ header: { typ } }), refused("typ"));
  });

  it("check 5: names an asymmetric algorithm, which is that of its key", () => {
    for (const alg of ["none", "HS256", "es256", "ES384", "ES256K", "RS1", "", 1, null, undefined])
      assert.deepEqual(result({ header: { alg } }), refused("alg"), String(alg));
    for (const alg of ["Ed25519", "EdDSA", "RS256", "PS256"])
      assert.deepEqual(result({ header: { alg } }), refused("jwk"), alg);
    const jkt = thumbprint("ent-rs256");
    assert.deepEqual(
      result({ key: "ent-rs256", header: { alg: "PS256" } }, { jkt }),
      refused("signature"),
    );
  });

  it("has a header of typ, alg and jwk, and nothing else", () => {
    for (const name of ["kid", "jku", "x5u", "x5c", "crit", "b64", "zip", "nonce", "x"])
      assert.deepEqual(result({ header: { [name]: "x" } }), refused("header"), name);
  });

  it("check 6: is signed by the key in its header", () => {
    const zero = Buffer.alloc(64);
    for (const sign of [
      () => zero,
      () => zero.subarray(1),
      () => Buffer.alloc(0),
      (input: string) => signWith(testKey("attacker-es256"), input),
      (input: string) => Buffer.concat([signWith(testKey(CLIENT_KEY), input), Buffer.of(0)]),
      (input: string) => signWith(testKey(CLIENT_KEY), `${input}x`),
    ])
      assert.deepEqual(result({ sign }), refused("signature"));
    const key = "ent-ps256";
    const sign = (input: string): Buffer => signPss(testKey(key), Buffer.from(input), "sha256", 20);
    assert.deepEqual(result({ key, sign }, { jkt: thumbprint(key) }), refused("signature"));
  });

  it("check 7: holds a good public key, and no private member", () => {
    const { publicJwk } = testKey(CLIENT_KEY);
    const x = "x" in publicJwk ? publicJwk.x : "";
    for (const changes of [
      { d: x },
      { k: x },
      { d: "" },
      { kty: "oct" },
      { crv: "P-384" },
      { x: `${x}=` },
      { x: x.slice(1) },
      { x: undefined },
      // No point of the curve.
      { x: "A".repeat(43) },
    ])
      assert.deepEqual(
        result({ header: { jwk: { ...publicJwk, ...changes } } }),
        refused("jwk"),
        JSON.stringify(changes),
      );
    for (const jwk of [undefined, null, "x", [publicJwk], {}])
      assert.deepEqual(result({ header: { jwk } }), refused("jwk"));
    const weak = { key: "weak-rs256", header: { alg: "RS256" } };
    assert.deepEqual(result(weak, { jkt: thumbprint("weak-rs256") }), refused("jwk"));
    // RFC 7517 §4: other public members mean nothing here, and the thumbprint does not cover them.
    const extended = { ...publicJwk, kid: "k", use: "sig", alg: "ES256", ext: true };
    assert.equal(result({ header: { jwk: extended } }), "valid");
  });

  it("check 8: is for the method, character for character", () => {
    for (const htm of ["POST", "get", "GET ", "", 1, null, ["GET"]])
      assert.deepEqual(result({ payload: { htm } }), refused("htm"));
  });

  it("check 9: is for the URL, without query and fragment, in whatever form", () => {
    for (const htu of [
      `${URL_OF_REQUEST}?a=b#c`,
      "HTTPS://Orders.Example:443/v1/orders/17",
      "https://orders.example/v1/x/../%6Frders/./17",
    ])
      assert.equal(result({ payload: { htu } }), "valid", htu);
    assert.equal(result({}, { url: `${URL_OF_REQUEST}?page=2` }), "valid");
    for (const htu of [
      "http://orders.example/v1/orders/17",
      "https://orders.example:8443/v1/orders/17",
      "https://orders.example.attacker.example/v1/orders/17",
      "https://orders.example@attacker.example/v1/orders/17",
      "https://orders.example/v1/orders/17/",
      "https://orders.example/v1/orders",
      "https://orders.example/V1/orders/17",
      "https://orders.example/v1%2Forders/17",
      "/v1/orders/17",
      "",
      1,
      null,
    ])
      assert.deepEqual(result({ payload: { htu } }), refused("htu"), String(htu));
    // Two texts that are no URLs are not equal.
    for (const url of ["", "orders.example", "https://orders.example/%zz"])
      assert.deepEqual(result({ payload: { htu: url } }, { url }), refused("htu"));
  });

  it("check 10: holds a nonce that the service takes, where it gives out nonces", () => {
    const check = testDpop({ nonce: { check: (n) => n === "n-2", current: () => "n-2" } });
    const nonceResult = (payload: ProofForgery["payload"]): unknown =>
      outcome(() => check[DPOP](makeProof(TOKEN, { payload: payload ?? {} }), GOOD));
    assert.equal(nonceResult({ nonce: "n-2" }), "valid");
    assert.deepEqual(nonceResult({}), ["ERR_DPOP_NONCE", "missing"]);
    for (const nonce of ["n-1", "", 2, null, ["n-2"]])
      assert.deepEqual(nonceResult({ nonce }), ["ERR_DPOP_NONCE", "stale"]);
    const anything = testDpop({ nonce: { check: () => true, current: () => "n" } });
    assert.deepEqual(
      outcome(() => anything[DPOP](makeProof(TOKEN, { payload: { nonce: 2 } }), GOOD)),
      ["ERR_DPOP_NONCE", "stale"],
    );
    // Nothing but a proof that is good otherwise is told about nonces.
    assert.deepEqual(nonceResult({ htm: "POST" }), refused("htm"));
    assert.equal(result({ payload: { nonce: "any" } }), "valid");
  });

  it("check 10: takes nothing but true for an answer", () => {
    const lenient: { readonly check: () => boolean } = { check: () => JSON.parse('"yes"') };
    const check = testDpop({ nonce: { ...lenient, current: () => "n" } });
    assert.deepEqual(
      outcome(() => check[DPOP](makeProof(TOKEN, { payload: { nonce: "n" } }), GOOD)),
      ["ERR_DPOP_NONCE", "stale"],
    );
  });

  it("check 11: is from the last 300 seconds, or 5 ahead, on both sides", () => {
    for (const iat of [NOW, NOW - 300, NOW + 5])
      assert.equal(use({ payload: { iat } }).expiresAtSeconds, iat + 301);
    for (const iat of [NOW - 301, NOW + 6, 0, -NOW, NOW + 0.5, `${NOW}`, null, [NOW], 2 ** 53])
      assert.deepEqual(result({ payload: { iat } }), refused("iat"), String(iat));
    assert.deepEqual(result({}, { nowSeconds: Number.NaN }), refused("iat"));
    const strict = testDpop({ maxAgeSeconds: 10, maxAheadSeconds: 0 });
    for (const [iat, expected] of [
      [NOW - 10, "valid"],
      [NOW - 11, refused("iat")],
      [NOW + 1, refused("iat")],
    ] as const)
      assert.deepEqual(
        outcome(() => strict[DPOP](makeProof(TOKEN, { payload: { iat } }), GOOD)),
        expected,
      );
  });

  it("RFC 7519 §4.1.4, §4.1.5: is held to exp and nbf where it has them", () => {
    assert.equal(result({ payload: { exp: NOW + 1, nbf: NOW + 5 } }), "valid");
    for (const exp of [NOW, "x", null, 1.5, NOW + 1.5])
      assert.deepEqual(result({ payload: { exp } }), refused("exp"));
    for (const nbf of [NOW + 6, "x", null])
      assert.deepEqual(result({ payload: { nbf } }), refused("nbf"));
  });

  it("check 12: is for this token, and by the key that the token is bound to", () => {
    for (const ath of ["", 1, null, thumbprint(CLIENT_KEY)])
      assert.deepEqual(result({ payload: { ath } }), refused("ath"));
    assert.deepEqual(result({}, { token: `${TOKEN}x` }), refused("ath"));
    for (const key of ["attacker-es256", "ent-ed25519", "attacker-rs256"])
      assert.deepEqual(result({ key }), ["ERR_BINDING_MISMATCH", "jkt"]);
  });

  it("has a jti of 1 to 128 characters", () => {
    for (const jti of ["x", "x".repeat(128)]) assert.equal(result({ payload: { jti } }), "valid");
    for (const jti of ["", "x".repeat(129), 1, null, ["x"]])
      assert.deepEqual(result({ payload: { jti } }), refused("jti"));
  });

  it("has one replay key for each sender, jti and URL in whatever form, of 43 characters", () => {
    const { key } = use();
    assert.match(key, /^[\w-]{43}$/);
    assert.equal(use({ payload: { htu: "HTTPS://orders.example:443/v1/orders/17?a" } }).key, key);
    assert.equal(use({ payload: { iat: NOW - 1, htm: "POST" } }, { method: "POST" }).key, key);
    const url = "https://orders.example/v1";
    const others = [
      use({ payload: { jti: "other" } }).key,
      use({ payload: { htu: url } }, { url }).key,
      use({ key: "ent-ed25519" }, { jkt: thumbprint("ent-ed25519") }).key,
    ];
    assert.equal(new Set([key, ...others]).size, 4);
  });

  it("is checked in full when its header is known", () => {
    const check = testDpop();
    check[DPOP](makeProof(TOKEN), GOOD);
    for (const [forgery, part] of [
      [{ sign: () => Buffer.alloc(64) }, "signature"],
      [{ payload: { htm: "POST" } }, "htm"],
      [{ payload: "[]" }, "json"],
    ] as const)
      assert.deepEqual(
        outcome(() => check[DPOP](makeProof(TOKEN, forgery), GOOD)),
        refused(part),
      );
    assert.deepEqual(
      outcome(() => check[DPOP](makeProof(TOKEN), { ...GOOD, jkt: thumbprint("attacker-es256") })),
      ["ERR_BINDING_MISMATCH", "jkt"],
    );
  });

  it("is refused with an error of ours, whatever is changed, and the error repeats none of it", () => {
    const check = testDpop();
    const proof = makeProof(TOKEN);
    fc.assert(
      fc.property(
        fc.nat(proof.length - 1),
        fc.string({ unit: "binary", maxLength: 3 }),
        (at, junk) => {
          const bad = proof.slice(0, at) + junk + proof.slice(at + 1);
          if (bad !== proof) assert.throws(() => check[DPOP](bad, GOOD), TokenError);
        },
      ),
      { numRuns: 500 },
    );
    const secret = "hunter2-hunter2";
    for (const forgery of [
      { header: { [secret]: 1 } },
      { header: { typ: secret } },
      { header: { alg: secret } },
      { header: { jwk: { kty: secret } } },
      { payload: { htm: secret } },
      { payload: { htu: secret } },
      { payload: { jti: secret.repeat(9) } },
      { payload: `{"${secret}` },
    ])
      assert.throws(
        () => use(forgery),
        (error) => error instanceof TokenError && !inspect(error).includes("hunter2"),
      );
  });
});
