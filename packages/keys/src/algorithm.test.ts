import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  generateKeyPair,
  joseFromDer,
  publicJwk,
  SIGNATURE_ALGORITHMS,
  signerFor,
} from "./algorithm.ts";
import { KeyError } from "./errors.ts";
import { verifiesAsJws } from "./testing/jws.ts";

const pairs = {
  ES256: generateKeyPair("ES256"),
  Ed25519: generateKeyPair("Ed25519"),
  RS256: generateKeyPair("RS256"),
};
function pairFor(alg: (typeof SIGNATURE_ALGORITHMS)[number]) {
  return alg === "PS256" ? pairs.RS256 : pairs[alg];
}

describe("signatures", () => {
  for (const alg of SIGNATURE_ALGORITHMS)
    it(`of ${alg} verify as JWS, and only over the input`, async () => {
      const { privateKey, publicKey } = pairFor(alg);
      const signer = signerFor(alg, privateKey, publicKey);
      const jwk = publicJwk(publicKey);
      for (let i = 0; i < 5; i += 1) {
        const input = randomBytes(100);
        const signature = await signer(input);
        assert.equal(verifiesAsJws(alg, jwk, input, signature), true);
        input.writeUInt8(input.readUInt8(0) ^ 1, 0);
        assert.equal(verifiesAsJws(alg, jwk, input, signature), false);
      }
    });

  it("of RSA are released only after they verify", async () => {
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 });
    for (const alg of ["RS256", "PS256"] as const) {
      const signer = signerFor(alg, pairs.RS256.privateKey, other.publicKey);
      await assert.rejects(async () => signer(Buffer.of(1)), { code: "ERR_KEY_SIGNATURE" });
    }
  });

  it("need a key of their own type and curve", () => {
    const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const ed448 = generateKeyPairSync("ed448");
    const wrong = { code: "ERR_KEY_ALG" };
    for (const alg of SIGNATURE_ALGORITHMS) {
      const right = pairFor(alg);
      for (const pair of [pairs.ES256, pairs.Ed25519, pairs.RS256, p384, ed448]) {
        if (pair === right) continue;
        assert.throws(() => signerFor(alg, pair.privateKey, right.publicKey), wrong);
        assert.throws(() => signerFor(alg, right.privateKey, pair.publicKey), wrong);
      }
    }
  });
});

describe("publicJwk", () => {
  it("gives public members only, also of a private key", () => {
    for (const { privateKey, publicKey } of Object.values(pairs)) {
      assert.deepEqual(publicJwk(privateKey), publicJwk(publicKey));
      for (const name of ["d", "p", "q", "dp", "dq", "qi"])
        assert.equal(Object.hasOwn(publicJwk(privateKey), name), false);
    }
  });

  it("refuses a key type that no record can hold", () => {
    const { publicKey } = generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 });
    assert.throws(() => publicJwk(publicKey));
  });
});

/** X.690 §8.3 for a number of up to 32 bytes: the shortest form, with a zero before a high bit. */
function derInteger(magnitude: Uint8Array): Buffer {
  const start = magnitude.findIndex((byte) => byte !== 0);
  const digits = start === -1 ? Buffer.of(0) : Buffer.from(magnitude.subarray(start));
  const value = digits.readUInt8(0) >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits;
  return Buffer.concat([Buffer.of(2, value.length), value]);
}

function derSignature(r: Uint8Array, s: Uint8Array): Buffer {
  const content = Buffer.concat([derInteger(r), derInteger(s)]);
  return Buffer.concat([Buffer.of(0x30, content.length), content]);
}

describe("joseFromDer", () => {
  // Any length of r and s: leading zero bytes are what a conversion gets wrong.
  const half = fc
    .tuple(fc.nat({ max: 32 }), fc.uint8Array({ minLength: 32, maxLength: 32 }))
    .map(([zeros, bytes]) => Uint8Array.from(bytes, (byte, i) => (i < zeros ? 0 : byte)));

  it("is r ‖ s, padded to 32 bytes each", () => {
    fc.assert(
      fc.property(half, half, (r, s) => {
        assert.deepEqual(joseFromDer(derSignature(r, s)), Buffer.concat([r, s]));
      }),
      { numRuns: 500 },
    );
  });

  it("is what the runtime's own form is, over many signatures", () => {
    const { privateKey, publicKey } = pairs.ES256;
    const jwk = publicJwk(publicKey);
    let short = 0;
    // Until some have a half of less than 32 bytes: about one in 256 has.
    for (let i = 0; i < 300 || (short < 2 && i < 20_000); i += 1) {
      const input = Buffer.from(`input ${i}`);
      const der = sign("sha256", input, privateKey);
      if (der.length < 70) short += 1;
      assert.equal(verifiesAsJws("ES256", jwk, input, joseFromDer(der)), true, der.toString("hex"));
    }
    assert.ok(short >= 2);
  });

  it("refuses everything that is not one DER signature, with its own error", () => {
    const good = derSignature(randomBytes(32).fill(0x85, 0, 1), randomBytes(32).fill(0x15, 0, 1));
    const refused: Buffer[] = [
      Buffer.alloc(0),
      Buffer.concat([good, Buffer.of(0)]),
      sign("sha384", Buffer.of(1), generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey),
      // Longer than 32 bytes, negative, not the shortest form, empty.
      derSignature(Buffer.alloc(33, 1), Buffer.alloc(32, 1)),
      Buffer.from("3006020181020101", "hex"),
      Buffer.from("300702020001020101", "hex"),
      Buffer.from("30050200020101", "hex"),
      ...Array.from({ length: good.length }, (_, i) => good.subarray(0, i)),
    ];
    for (const der of refused)
      assert.throws(() => joseFromDer(der), { name: "KeyError", code: "ERR_KEY_SIGNATURE" });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          joseFromDer(bytes);
        } catch (error) {
          assert.ok(error instanceof KeyError);
        }
      }),
    );
  });
});
