import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fitsKey, isForSignatures, parsePublicJwk, TOKEN_ALGORITHMS } from "./public-key.ts";
import { encodeBase64url } from "./base64url.ts";
import { outcome } from "./testing/outcome.ts";

describe("fitsKey()", () => {
  it("asks for the type and the curve of the algorithm", () => {
    for (const [jwk, expected] of [
      [{ kty: "EC", crv: "P-256" }, ["ES256"]],
      [{ kty: "EC", crv: "P-384" }, ["ES384"]],
      [{ kty: "EC", crv: "P-521" }, ["ES512"]],
      [{ kty: "EC", crv: "secp256k1" }, []],
      [{ kty: "OKP", crv: "Ed25519" }, ["Ed25519"]],
      [{ kty: "OKP", crv: "Ed448" }, []],
      [{ kty: "OKP", crv: "P-256" }, []],
      [{ kty: "EC", crv: "Ed25519" }, []],
      [{ kty: "RSA" }, ["RS256", "PS256", "RS384", "PS384", "RS512", "PS512"]],
      [{ kty: "oct" }, []],
    ] as const)
      assert.deepEqual(
        TOKEN_ALGORITHMS.filter((algorithm) => fitsKey(jwk, algorithm)).toSorted(),
        [...expected].toSorted(),
        JSON.stringify(jwk),
      );
  });
});

describe("isForSignatures()", () => {
  it("RFC 7517 §4.2, §4.3: says nothing else", () => {
    for (const jwk of [
      {},
      { use: "sig" },
      { key_ops: ["verify"] },
      { key_ops: ["sign", "verify"] },
    ])
      assert.equal(isForSignatures(jwk), true, JSON.stringify(jwk));
    for (const jwk of [
      { use: "enc" },
      { use: ["sig"] },
      { key_ops: ["sign"] },
      { key_ops: [] },
      { key_ops: "verify" },
      { use: "sig", key_ops: ["encrypt"] },
      { use: "enc", key_ops: ["verify"] },
    ])
      assert.equal(isForSignatures(jwk), false, JSON.stringify(jwk));
  });
});

function rsa(n: Uint8Array): unknown {
  const jwk = { kty: "RSA", e: "AQAB", n: encodeBase64url(n) };
  return outcome(() => parsePublicJwk(jwk, "RS256"));
}

function modulus(bytes: number, first: number, last = 0xff): unknown {
  const n = Buffer.alloc(bytes, 0xff);
  n[0] = first;
  n[bytes - 1] = last;
  return rsa(n);
}

describe("parsePublicJwk()", () => {
  it("an RSA modulus has 2048 to 4096 bits, no leading zero, and is odd", () => {
    for (const [bytes, first] of [
      [256, 0x80],
      [257, 0x01],
      [512, 0xff],
    ] as const)
      assert.equal(modulus(bytes, first), "valid");
    for (const [bytes, first, last] of [
      [256, 0x7f, 0xff],
      [255, 0xff, 0xff],
      [257, 0x00, 0xff],
      [513, 0x01, 0xff],
      [256, 0x80, 0xfe],
    ] as const)
      assert.deepEqual(modulus(bytes, first, last), ["ERR_KEY_INVALID", undefined]);
  });

  it("CVE-2017-15361: an RSA modulus is no power of 65537 modulo every small prime", () => {
    const product = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]
      .map(BigInt)
      .reduce((a, b) => a * b, 2n);
    const largest = 2n ** 2048n - 1n;
    const one = largest - (largest % product) + 1n - product;
    assert.deepEqual(rsa(Buffer.from(one.toString(16), "hex")), ["ERR_KEY_INVALID", undefined]);
    assert.equal(rsa(Buffer.from((one + 2n).toString(16), "hex")), "valid");
  });
});
