import assert from "node:assert/strict";
import {
  constants,
  createPublicKey,
  generateKeyPairSync,
  hash,
  privateEncrypt,
  publicDecrypt,
  sign,
} from "node:crypto";
import { describe, it } from "node:test";
import { generateKeyPair, publicJwk, signerFor, type SignatureAlgorithm } from "@redoubt/keys";
import { parsePublicJwk } from "@redoubt/verify";
import { decodeBase64url } from "@redoubt/verify/base64url";
import fc from "fast-check";
import { isEvidenceSigned, type EvidenceKey } from "./evidence-signature.ts";
import { isP256Signature } from "./p256.ts";
import { isPs256Signature, isRs256Signature } from "./rsa.ts";

const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const G = {
  x: Buffer.from("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", "hex"),
  y: Buffer.from("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5", "hex"),
};

function scalar(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex");
}

function modulo(value: bigint, prime: bigint): bigint {
  return ((value % prime) + prime) % prime;
}

async function signed(
  alg: SignatureAlgorithm,
  message: string,
): Promise<{ key: EvidenceKey; digest: Buffer; signature: Buffer }> {
  const { publicKey, privateKey } = generateKeyPair(alg);
  const bytes = Buffer.from(message, "utf8");
  const signature = await signerFor(alg, privateKey, publicKey)(bytes);
  const key = { alg, jwk: parsePublicJwk(publicJwk(publicKey), alg) };
  return { key, digest: hash("sha256", bytes, "buffer"), signature };
}

describe("evidence signatures over a digest", () => {
  for (const alg of ["ES256", "RS256", "PS256", "Ed25519"] as const) {
    it(`${alg}: what node:crypto signed verifies, and no other digest, key or signature does`, async () => {
      const message = `header.${alg}`;
      const { key, digest, signature } = await signed(alg, message);
      const other = await signed(alg, message);
      const evidence = { digest, signature, signingInput: message };
      assert.equal(await isEvidenceSigned(key, evidence), true);
      assert.equal(await isEvidenceSigned(other.key, evidence), false);
      const wrong = hash("sha256", "another", "buffer");
      assert.equal(await isEvidenceSigned(key, { ...evidence, digest: wrong }), false);
      assert.equal(await isEvidenceSigned(key, { ...evidence, signature: other.signature }), false);
      assert.equal(
        await isEvidenceSigned(key, { ...evidence, signature: signature.subarray(1) }),
        false,
      );
      for (let at = 0; at < signature.length; at += 7) {
        const flipped = Buffer.from(signature);
        flipped[at] = (flipped[at] ?? 0) ^ 1;
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        assert.equal(await isEvidenceSigned(key, { ...evidence, signature: flipped }), false);
      }
    });
  }

  it("Ed25519 needs the signing input, and exactly the one of the digest", async () => {
    const { key, digest, signature } = await signed("Ed25519", "a.b");
    assert.equal(await isEvidenceSigned(key, { digest, signature }), false);
    assert.equal(await isEvidenceSigned(key, { digest, signature, signingInput: "a.c" }), false);
  });

  it("never throws, whatever the signature and the digest are", async () => {
    const keys = await Promise.all(
      (["ES256", "RS256", "PS256", "Ed25519"] as const).map((alg) => signed(alg, "x")),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 3 }),
        fc.uint8Array({ maxLength: 520 }),
        fc.uint8Array({ maxLength: 40 }),
        async (which, signature, digest) => {
          const key = keys[which]?.key;
          assert.ok(key);
          const evidence = { signature: Buffer.from(signature), digest: Buffer.from(digest) };
          assert.equal(await isEvidenceSigned(key, { ...evidence, signingInput: "x" }), false);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("P-256 over a digest", () => {
  it("agrees with node:crypto for random keys and messages, and for high and low s", () => {
    for (let i = 0; i < 12; i++) {
      const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const { x = "", y = "" } = publicKey.export({ format: "jwk" });
      const key = { x: decodeBase64url(x), y: decodeBase64url(y) };
      const message = Buffer.from(`message ${i}`);
      const options = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
      const signature = sign("sha256", message, options);
      const digest = hash("sha256", message, "buffer");
      assert.equal(isP256Signature(key, digest, signature), true);
      const s = BigInt(`0x${signature.subarray(32).toString("hex")}`);
      const negated = Buffer.concat([signature.subarray(0, 32), scalar(N - s)]);
      assert.equal(isP256Signature(key, digest, negated), true);
    }
  });

  it("THREAT-08: refuses r and s of 0 and of n and above", () => {
    const digest = Buffer.alloc(32, 7);
    for (const r of [0n, 1n, N, N + 1n, 2n ** 256n - 1n])
      for (const s of [0n, 1n, N, N + 1n, 2n ** 256n - 1n]) {
        if (r === 1n && s === 1n) continue;
        assert.equal(isP256Signature(G, digest, Buffer.concat([scalar(r), scalar(s)])), false);
      }
    assert.equal(isP256Signature(G, Buffer.alloc(32), Buffer.alloc(64)), false);
  });

  it("refuses s + n, which is the same signature in other bytes", () => {
    // Nonce 1, key 1 and e = 5 − r give s = 5.
    const r = BigInt(`0x${G.x.toString("hex")}`) % N;
    const digest = scalar(modulo(5n - r, N));
    assert.equal(isP256Signature(G, digest, Buffer.concat([scalar(r), scalar(5n)])), true);
    assert.equal(isP256Signature(G, digest, Buffer.concat([scalar(r), scalar(5n + N)])), false);
  });

  it("reaches the point at infinity without accepting it", () => {
    // Q = G, so u1·G + u2·Q = (e + r)/s·G: infinity for e = −r.
    for (const r of [1n, 5n, N - 1n]) {
      const digest = scalar(modulo(-r, N));
      assert.equal(isP256Signature(G, digest, Buffer.concat([scalar(r), scalar(3n)])), false);
    }
  });

  it("adds equal and opposite points rightly: Q = G and Q = −G with chosen nonces", () => {
    const minus = { x: G.x, y: scalar(P - BigInt(`0x${G.y.toString("hex")}`)) };
    const r = BigInt(`0x${G.x.toString("hex")}`) % N;
    // With nonce k = 1: r = G.x mod n, s = e + r·d, for d = 1 and d = −1.
    for (const [key, d] of [
      [G, 1n],
      [minus, -1n],
    ] as const)
      for (const e of [0n, 1n, 2n, N - 1n, 2n ** 255n]) {
        const s = modulo(e + r * d, N);
        const signature = Buffer.concat([scalar(r), scalar(s)]);
        assert.equal(isP256Signature(key, scalar(e), signature), true);
        const wrong = Buffer.concat([scalar(r), scalar(modulo(s + 1n, N))]);
        assert.equal(isP256Signature(key, scalar(e), wrong), false);
      }
  });

  it("takes a digest above n modulo n (FIPS 186-5 §6.4.2)", () => {
    const e = 2n ** 256n - 1n;
    const r = BigInt(`0x${G.x.toString("hex")}`) % N;
    const signature = Buffer.concat([scalar(r), scalar(modulo(e + r, N))]);
    assert.equal(isP256Signature(G, scalar(e), signature), true);
  });

  it("refuses a key that is not on the curve or out of range", () => {
    const digest = Buffer.alloc(32, 1);
    const signature = Buffer.concat([scalar(1n), scalar(1n)]);
    for (const key of [
      { x: G.x, y: G.x },
      { x: Buffer.alloc(32), y: Buffer.alloc(32) },
      { x: Buffer.alloc(32, 255), y: G.y },
    ])
      assert.equal(isP256Signature(key, digest, signature), false);
  });
});

describe("RSA over a digest", () => {
  const message = Buffer.from("message");
  const digest = hash("sha256", message, "buffer");
  const odd = [1024, 1025, 1031].map((modulusLength) =>
    generateKeyPairSync("rsa", { modulusLength }),
  );

  it("agrees with node:crypto where the bit length is not a multiple of 8", () => {
    for (const { publicKey, privateKey } of odd) {
      const pkcs = sign("sha256", message, privateKey);
      assert.equal(isRs256Signature(publicKey, digest, pkcs), true);
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      const pss = sign("sha256", message, { key: privateKey, padding, saltLength: 32 });
      assert.equal(isPs256Signature(publicKey, digest, pss), true);
      assert.equal(isPs256Signature(publicKey, digest, pkcs), false);
      assert.equal(isRs256Signature(publicKey, digest, pss), false);
    }
  });

  it("refuses another salt length and another hash", () => {
    const [pair] = odd;
    assert.ok(pair);
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    for (const saltLength of [0, 20, 31, 33]) {
      const signature: Buffer = sign("sha256", message, {
        key: pair.privateKey,
        padding,
        saltLength,
      });
      assert.equal(isPs256Signature(pair.publicKey, digest, signature), false);
    }
    const sha512 = sign("sha512", message, pair.privateKey);
    assert.equal(isRs256Signature(pair.publicKey, digest, sha512), false);
  });

  it("PSS: refuses any change of the padding before the salt, with the right key", () => {
    const [pair] = odd;
    assert.ok(pair);
    const { publicKey, privateKey } = pair;
    const padding = constants.RSA_NO_PADDING;
    const good = sign("sha256", message, {
      key: privateKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    });
    const encoded = publicDecrypt({ key: publicKey, padding }, good);
    // 1024 bits: 62 bytes of zeros, 01, salt, H, bc. The mask is an exclusive or: it lets changes through.
    for (const [at, flip] of [
      [0, 0],
      [1, 1],
      [40, 0x80],
      [61, 1],
      [62, 1],
      [62, 3],
      [127, 1],
    ] as const) {
      const changed = Buffer.from(encoded);
      changed[at] = (changed[at] ?? 0) ^ flip;
      const signature = privateEncrypt({ key: privateKey, padding }, changed);
      assert.equal(isPs256Signature(publicKey, digest, signature), flip === 0, `byte ${at}`);
    }
  });

  it("RS256: refuses any change of the padding and of DigestInfo, with the right key", () => {
    const [pair] = odd;
    assert.ok(pair);
    const { publicKey, privateKey } = pair;
    const padding = constants.RSA_NO_PADDING;
    const encoded = publicDecrypt({ key: publicKey, padding }, sign("sha256", message, privateKey));
    for (const at of [-1, 1, 2, 40, 75, 76, 77, 80, 94, 95, 127]) {
      const changed = Buffer.from(encoded);
      if (at >= 0) changed[at] = (changed[at] ?? 0) ^ 1;
      const signature = privateEncrypt({ key: privateKey, padding }, changed);
      assert.equal(isRs256Signature(publicKey, digest, signature), at === -1, `byte ${at}`);
    }
  });

  it("refuses a signature at or above the modulus and of another length", () => {
    const [pair] = odd;
    assert.ok(pair);
    const key = createPublicKey(pair.publicKey.export({ format: "pem", type: "spki" }));
    for (const signature of [
      Buffer.alloc(128, 255),
      Buffer.alloc(128),
      Buffer.alloc(127),
      Buffer.alloc(129),
    ]) {
      assert.equal(isRs256Signature(key, digest, signature), false);
      assert.equal(isPs256Signature(key, digest, signature), false);
    }
  });
});
