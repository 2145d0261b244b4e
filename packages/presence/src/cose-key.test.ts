import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SoftAuthenticator } from "@redoubt/testkit";
import { parseCoseKey } from "./cose-key.ts";
import { PresenceError } from "./presence-error.ts";
import { RP_ID } from "./testing/ceremony-fixture.ts";

const keys = (["ES256", "EdDSA", "RS256"] as const).map(
  (alg) => [alg, new SoftAuthenticator({ rpId: RP_ID, alg }).publicKey] as const,
);

function refused(bytes: Uint8Array): void {
  assert.throws(
    () => parseCoseKey(bytes),
    { name: "PresenceError", code: "ERR_PRESENCE_KEY" },
    Buffer.from(bytes).toString("hex"),
  );
}

/** The COSE key of an RSA key with this modulus and exponent. */
function rsaKey(n: Buffer, e = Buffer.of(1, 0, 1)): Buffer {
  const size = Buffer.of(0x59, n.length >> 8, n.length & 0xff);
  const tail = Buffer.concat([Buffer.of(0x21, 0x40 | e.length), e]);
  return Buffer.concat([Buffer.from("a401030339010020", "hex"), size, n, tail]);
}

function modulus(bits: number): Buffer {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  return Buffer.from(publicKey.export({ format: "jwk" }).n ?? "", "base64url");
}

describe("parseCoseKey()", () => {
  for (const [alg, cose] of keys)
    it(`reads the one spelling of an ${alg} key`, () => {
      const { algorithm } = parseCoseKey(cose);
      assert.equal(algorithm, alg === "EdDSA" ? "Ed25519" : alg);
      refused(Buffer.concat([cose, Buffer.of(0)]));
      for (let length = 0; length < cose.length; length += 1) refused(cose.subarray(0, length));
      // A map of any length, a type and a label of two bytes: the same key to a reader of CBOR.
      refused(Buffer.concat([Buffer.of(0xbf), cose.subarray(1), Buffer.of(0xff)]));
      refused(Buffer.concat([cose.subarray(0, 1), Buffer.of(0x18), cose.subarray(1)]));
      for (let at = 0; at < 10; at += 1) {
        const other = Buffer.from(cose);
        other.writeUInt8(other.readUInt8(at) ^ 1, at);
        refused(other);
      }
    });

  it("refuses another curve, order or algorithm", () => {
    const ec = keys[0]?.[1] ?? Buffer.alloc(0);
    const [x, y] = [ec.subarray(10, 42), ec.subarray(45)];
    const key = (head: string, middle = "225820"): Buffer =>
      Buffer.concat([Buffer.from(head, "hex"), x, Buffer.from(middle, "hex"), y]);
    parseCoseKey(key("a5010203262001215820"));
    // P-384, secp256k1, ES384, y before x, alg before kty.
    for (const head of ["a5010203262002215820", "a5010203262008215820", "a501020338222001215820"])
      refused(key(head));
    refused(key("a5010203262001225820", "215820"));
    refused(key("a5032601022001215820"));
  });

  it("refuses what is no point of the curve, or is one of small order", () => {
    const ec = Buffer.from(keys[0]?.[1] ?? []);
    ec.writeUInt8(ec.readUInt8(76) ^ 1, 76);
    refused(ec);
    const head = Buffer.from("a4010103272006215820", "hex");
    for (const byte of [0, 2, 0xff]) refused(Buffer.concat([head, Buffer.alloc(32, byte)]));
  });

  it("takes RSA keys of 2048 to 4096 bits, with the usual exponent", () => {
    for (const bits of [2048, 4096])
      assert.equal(parseCoseKey(rsaKey(modulus(bits))).algorithm, "RS256");
    const n = modulus(2048);
    refused(rsaKey(modulus(1024)));
    refused(rsaKey(modulus(2040)));
    refused(rsaKey(n, Buffer.of(3)));
    refused(rsaKey(Buffer.concat([Buffer.of(0), n])));
    const even = Buffer.from(n);
    even.writeUInt8(even.readUInt8(255) & 0xfe, 255);
    refused(rsaKey(even));
    refused(rsaKey(Buffer.concat([modulus(4096), Buffer.of(1)])));
  });

  it("THREAT-26: throws nothing but its own error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        assert.throws(() => parseCoseKey(bytes), PresenceError);
      }),
    );
  });
});
