import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isoCBOR } from "@simplewebauthn/server/helpers";
import fc from "fast-check";
import { checkCredentialKey } from "./credential-key.ts";
import { PasskeyError } from "./passkey-error.ts";

type Member = readonly [number, number | Uint8Array];

const BYTES = new Uint8Array(32).fill(1);
const N = new Uint8Array(256).fill(0xff);
const F4 = Uint8Array.of(1, 0, 1);
const KEYS: Readonly<Record<"ES256" | "EdDSA" | "RS256", readonly Member[]>> = {
  ES256: [
    [1, 2],
    [3, -7],
    [-1, 1],
    [-2, BYTES],
    [-3, BYTES],
  ],
  EdDSA: [
    [1, 1],
    [3, -8],
    [-1, 6],
    [-2, BYTES],
  ],
  RS256: [
    [1, 3],
    [3, -257],
    [-1, N],
    [-2, F4],
  ],
};

function encode(members: readonly Member[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(isoCBOR.encode(new Map(members)));
}

function rsaKey(n: Uint8Array, e: Uint8Array = F4): Uint8Array<ArrayBuffer> {
  return encode([
    [1, 3],
    [3, -257],
    [-1, n],
    [-2, e],
  ]);
}

describe("checkCredentialKey", () => {
  for (const alg of ["ES256", "EdDSA", "RS256"] as const) {
    it(`${alg}: takes a key of its kind`, () => {
      assert.equal(checkCredentialKey(encode(KEYS[alg])), alg);
    });
    it(`${alg}: refuses each member that is missing or another`, () => {
      for (const [name] of KEYS[alg]) {
        const rest = KEYS[alg].filter(([other]) => other !== name);
        const short: Member = [name, new Uint8Array(31)];
        for (const members of [rest, [...rest, short], [...rest, [name, 99] as const]])
          assert.throws(() => checkCredentialKey(encode(members)), {
            code: "ERR_PASSKEY_ALGORITHM",
          });
      }
    });
  }

  it("refuses algorithms that were not offered: ES384, RS1, ML-DSA-44", () => {
    for (const alg of [-35, -65_535, -48, 0, 7]) {
      const members = KEYS.ES256.map((member): Member => (member[0] === 3 ? [3, alg] : member));
      assert.throws(() => checkCredentialKey(encode(members)), { code: "ERR_PASSKEY_ALGORITHM" });
    }
  });

  it("takes RSA of 2048, 3072 and 4096 bits with exponent 65537, and nothing else", () => {
    for (const length of [256, 384, 512])
      assert.equal(checkCredentialKey(rsaKey(new Uint8Array(length).fill(0xff))), "RS256");
    const wrong = [
      rsaKey(new Uint8Array(128).fill(0xff)),
      rsaKey(new Uint8Array(255).fill(0xff)),
      rsaKey(new Uint8Array(1024).fill(0xff)),
      rsaKey(new Uint8Array(256).fill(0x7f)),
      rsaKey(N, Uint8Array.of(1)),
      rsaKey(N, Uint8Array.of(3)),
      rsaKey(N, new Uint8Array(256).fill(0xff)),
    ];
    for (const key of wrong)
      assert.throws(() => checkCredentialKey(key), { code: "ERR_PASSKEY_ALGORITHM" });
  });

  it("never throws anything but its own error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        assert.throws(() => checkCredentialKey(new Uint8Array(bytes)), PasskeyError);
      }),
    );
  });
});
