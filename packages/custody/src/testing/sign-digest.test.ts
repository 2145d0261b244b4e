import assert from "node:assert/strict";
import { constants, createHash, generateKeyPairSync, verify } from "node:crypto";
import { describe, it } from "node:test";
import { derOf, ecdsaOfDigest, pkcs1OfDigest, pssOfDigest } from "./sign-digest.ts";

describe("a signature of a digest", () => {
  const input = Buffer.from("header.payload");
  const digest = createHash("sha256").update(input).digest();
  const otherDigest = createHash("sha256").update("other").digest();

  it("is one of ECDSA, in both forms", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    // Short integers and those with the high bit set are one in a few.
    for (let i = 0; i < 20; i++) {
      const signature = ecdsaOfDigest(digest, privateKey);
      assert.equal(signature.length, 64);
      const key = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
      assert.equal(verify("sha256", input, key, signature), true);
      assert.equal(verify("sha256", input, publicKey, derOf(signature)), true);
      assert.equal(verify("sha256", input, key, ecdsaOfDigest(otherDigest, privateKey)), false);
    }
  });

  it("is one of RSA, in both paddings", () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pss = {
      key: publicKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    };
    for (const [key, sign] of [
      [{ key: publicKey }, pkcs1OfDigest],
      [pss, pssOfDigest],
    ] as const) {
      assert.equal(verify("sha256", input, key, sign(digest, privateKey)), true);
      assert.equal(verify("sha256", input, key, sign(otherDigest, privateKey)), false);
    }
    assert.equal(verify("sha256", input, pss, pssOfDigest(digest, privateKey, 20)), false);
  });
});
