import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { publicJwk, SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from "@redoubt/keys";
import { TOKEN_ALGORITHMS } from "./algorithms.ts";
import { attributeProblem } from "./attributes.ts";
import { CKA } from "./cryptoki.ts";
import { readPublicKey } from "./public-half.ts";

const [session, object] = [Buffer.alloc(8), Buffer.alloc(8)];
const [NO, YES] = [Buffer.from([0]), Buffer.from([1])];
const ABSENT = new Error("CKR_ATTRIBUTE_TYPE_INVALID:18");

/** A token that says this of an object. */
function sourceOf(values: ReadonlyMap<number, Buffer>) {
  return {
    C_GetAttributeValue: (_: Buffer, __: Buffer, [asked]: readonly { readonly type: number }[]) => {
      const value = asked && values.get(asked.type);
      if (!value) throw ABSENT;
      return [{ value }];
    },
  };
}

const required = [
  CKA.TOKEN,
  CKA.PRIVATE,
  CKA.SENSITIVE,
  CKA.ALWAYS_SENSITIVE,
  CKA.NEVER_EXTRACTABLE,
  CKA.LOCAL,
  CKA.SIGN,
];

describe("P5: what a token says of a private key", () => {
  for (const alg of SIGNATURE_ALGORITHMS) {
    const good = new Map<number, Buffer>([
      ...required.map((type) => [type, YES] as const),
      ...TOKEN_ALGORITHMS[alg].denied.map((type) => [type, NO] as const),
      [CKA.EXTRACTABLE, NO],
    ]);
    const problem = (...changes: (readonly [number, Buffer | undefined])[]) => {
      const values = new Map(good);
      for (const [type, value] of changes)
        if (value) values.set(type, value);
        else values.delete(type);
      return attributeProblem(sourceOf(values), session, object, alg);
    };

    it(`${alg}: all must be right`, () => {
      assert.equal(problem(), undefined);
      for (const type of required)
        for (const wrong of [NO, undefined, Buffer.alloc(0), Buffer.from([1, 1])])
          assert.match(problem([type, wrong]) ?? "", /^CKA_[A-Z_]+ is not true$/);
      for (const wrong of [YES, undefined, Buffer.alloc(0)])
        assert.equal(problem([CKA.EXTRACTABLE, wrong]), "CKA_EXTRACTABLE is not false");
      for (const type of TOKEN_ALGORITHMS[alg].denied) {
        assert.match(problem([type, YES]) ?? "", / is true$/);
        // A token need not know a use that the kind of key cannot have.
        assert.equal(problem([type, undefined]), undefined);
      }
    });
  }

  it("an error of another kind is none of the key's", () => {
    const broken = {
      C_GetAttributeValue: () => {
        throw new Error("CKR_DEVICE_ERROR:48");
      },
    };
    assert.throws(() => attributeProblem(broken, session, object, "ES256"), /CKR_DEVICE_ERROR/);
  });
});

function read(alg: SignatureAlgorithm, values: readonly (readonly [number, Buffer])[]) {
  return readPublicKey(sourceOf(new Map(values)), session, object, alg);
}

function bytes(text = ""): Buffer {
  return Buffer.from(text, "base64url");
}

describe("a public half", () => {
  const ec = publicJwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
  const ed = publicJwk(generateKeyPairSync("ed25519").publicKey);
  const point = Buffer.concat([Buffer.from([4]), bytes(ec.x), bytes(ec.y)]);
  const wrapped = Buffer.concat([Buffer.from([4, 65]), point]);

  it("of P-256 is read with and without the OCTET STRING, on the curve only", () => {
    for (const value of [point, wrapped]) {
      const key = read("ES256", [[CKA.EC_POINT, value]]);
      assert.ok(key);
      assert.deepEqual(publicJwk(key), ec);
    }
    const off = Buffer.from(wrapped);
    off.writeUInt8((off.at(-1) ?? 0) ^ 1, off.length - 1);
    const compressed = Buffer.from(point);
    compressed.writeUInt8(2, 0);
    for (const value of [
      off,
      compressed,
      point.subarray(1),
      wrapped.subarray(1, -1),
      Buffer.alloc(0),
    ])
      assert.equal(read("ES256", [[CKA.EC_POINT, value]]), undefined);
    assert.equal(read("ES256", []), undefined);
  });

  it("of Ed25519 is read with and without the OCTET STRING", () => {
    const x = bytes(ed.x);
    for (const value of [x, Buffer.concat([Buffer.from([4, 32]), x])]) {
      const key = read("Ed25519", [[CKA.EC_POINT, value]]);
      assert.ok(key);
      assert.deepEqual(publicJwk(key), ed);
    }
    for (const value of [x.subarray(1), Buffer.concat([x, x]), Buffer.alloc(0)])
      assert.equal(read("Ed25519", [[CKA.EC_POINT, value]]), undefined);
  });

  it("of RSA has 3072 bits at least", () => {
    const e = Buffer.from([1, 0, 1]);
    const n = Buffer.alloc(384, 0xff);
    for (const modulus of [n, Buffer.concat([Buffer.alloc(1), n])])
      for (const alg of ["RS256", "PS256"] as const)
        assert.equal(
          read(alg, [
            [CKA.MODULUS, modulus],
            [CKA.PUBLIC_EXPONENT, e],
          ])?.asymmetricKeyDetails?.modulusLength,
          3072,
        );
    for (const modulus of [n.subarray(1), Buffer.concat([Buffer.alloc(1), n.subarray(1)])])
      assert.equal(
        read("RS256", [
          [CKA.MODULUS, modulus],
          [CKA.PUBLIC_EXPONENT, e],
        ]),
        undefined,
      );
    assert.equal(read("RS256", [[CKA.MODULUS, n]]), undefined);
    const small = [CKA.PUBLIC_EXPONENT, Buffer.from([3])] as const;
    assert.equal(read("RS256", [[CKA.MODULUS, n], small]), undefined);
  });

  it("P12: of any bytes is a key or none", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SIGNATURE_ALGORITHMS),
        fc.uint8Array({ maxLength: 80 }),
        fc.uint8Array({ maxLength: 400 }),
        (alg, small, large) => {
          const key = read(alg, [
            [CKA.EC_POINT, Buffer.from(small)],
            [CKA.MODULUS, Buffer.from(large)],
            [CKA.PUBLIC_EXPONENT, Buffer.from(small)],
          ]);
          assert.equal(key === undefined || key.type === "public", true);
        },
      ),
    );
  });
});
