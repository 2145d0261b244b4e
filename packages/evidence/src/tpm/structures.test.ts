import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import { encodePublicArea, encodeQuote } from "../testing/tpm-evidence.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { encodeSelection, readSelections } from "./pcr-selection.ts";
import { TPMA_OBJECT, hasAttribute, parsePublicArea } from "./public-area.ts";
import { parseQuote } from "./quote.ts";
import { parseSignature, verifySignature } from "./signature.ts";

const P256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
const NONE = u16(0x10);

function refused(code: string, part: string): object {
  return { name: "EvidenceError", code, part };
}

describe("TPMT_PUBLIC", () => {
  for (const [nameAlg, hash] of [
    [0x0b, "sha256"],
    [0x0c, "sha384"],
    [0x0d, "sha512"],
  ] as const)
    it(`is named by ${hash} over all of it`, () => {
      const bytes = encodePublicArea({ key: P256, nameAlg });
      const digest = createHash(hash).update(bytes).digest();
      assert.deepEqual(parsePublicArea(bytes).name, Buffer.concat([u16(nameAlg), digest]));
    });

  it("of a storage key: its AES key, no scheme, its policy", () => {
    const attributes = TPMA_OBJECT.restricted | TPMA_OBJECT.decrypt;
    const authPolicy = Buffer.alloc(32, 5);
    for (const [bits, key] of [
      [128, RSA],
      [256, P256],
    ] as const) {
      const symmetric = Buffer.concat([u16(6), u16(bits), u16(0x43)]);
      const parts = { key, symmetric, scheme: NONE, attributes, authPolicy };
      const area = parsePublicArea(encodePublicArea(parts));
      assert.equal(area.symmetricBits, bits);
      assert.equal(area.scheme, undefined);
      assert.deepEqual(area.authPolicy, authPolicy);
      assert.deepEqual([hasAttribute(area, "decrypt"), hasAttribute(area, "sign")], [true, false]);
      assert.ok(area.key.equals(key));
    }
  });

  it("of RSA says what was made of it", () => {
    const bytes = encodePublicArea({ key: RSA, exponent: 65_537 });
    const area = parsePublicArea(bytes);
    assert.deepEqual(area.scheme, { name: "rsassa", hash: "sha256" });
    assert.ok(area.key.equals(RSA));
  });

  it("of ECC may leave out leading zeros of a coordinate", () => {
    const { x = "", y = "" } = keyWithShortX();
    const bytes = encodePublicArea({ key: P256 });
    const point = [Buffer.from(x, "base64url").subarray(1), Buffer.from(y, "base64url")];
    const area = parsePublicArea(
      Buffer.concat([bytes.subarray(0, bytes.length - 68), ...point.map((part) => sized(part))]),
    );
    assert.deepEqual(area.key.export({ format: "jwk" }), { kty: "EC", crv: "P-256", x, y });
  });

  it("is refused where the scheme belongs to another kind of key", () => {
    const ecdsa = Buffer.concat([u16(0x18), u16(0x0b)]);
    const rsassa = Buffer.concat([u16(0x14), u16(0x0b)]);
    const expected = refused("ERR_EVIDENCE_UNSUPPORTED", "publicArea.scheme");
    for (const parts of [
      { key: RSA, scheme: ecdsa },
      { key: P256, scheme: rsassa },
      { key: P256, scheme: Buffer.concat([u16(0x1a), u16(0x0b)]) },
    ])
      assert.throws(() => parsePublicArea(encodePublicArea(parts)), expected);
  });

  const rsa = encodePublicArea({ key: RSA });
  const ecc = encodePublicArea({ key: P256 });
  const long = encodePublicArea({ key: P256, authPolicy: Buffer.alloc(67) });
  const aes = (bits: number, mode: number): Buffer =>
    encodePublicArea({ key: RSA, symmetric: Buffer.concat([u16(6), u16(bits), u16(mode)]) });
  for (const [what, bytes, code, part] of [
    ["a sealed object", patched(ecc, 0, 8), "UNSUPPORTED", "type"],
    ["SHA-1 as hash of the name", patched(ecc, 2, 4), "UNSUPPORTED", "nameAlg"],
    ["SHA-1 as hash of the scheme", patched(ecc, 14, 4), "UNSUPPORTED", "scheme.hash"],
    ["a policy that is too long", long, "SIZE", "authPolicy"],
    ["another cipher", patched(rsa, 10, 0x13), "UNSUPPORTED", "symmetric"],
    ["AES-192", aes(192, 0x43), "UNSUPPORTED", "symmetric.keyBits"],
    ["AES in another mode", aes(128, 0x42), "UNSUPPORTED", "symmetric.mode"],
    ["RSA of 1024 bits", patched(rsa, 16, 1024), "UNSUPPORTED", "keyBits"],
    ["RSA with exponent 3", encodePublicArea({ key: RSA, exponent: 3 }), "UNSUPPORTED", "exponent"],
    ["a modulus that is short", patched(rsa, 22, 255), "FORMAT", "unique"],
    ["a modulus that is long", patched(rsa, 22, 257), "SIZE", "unique"],
    ["a modulus with leading zeros", patched(rsa, 24, 0x7fff), "FORMAT", "unique"],
    ["another curve", patched(ecc, 16, 5), "UNSUPPORTED", "curveID"],
    ["a key derivation", encodePublicArea({ key: P256, kdf: 0x20 }), "UNSUPPORTED", "kdf"],
    ["a coordinate that is long", patched(ecc, 20, 33), "SIZE", "unique.x"],
    ["a second coordinate that is long", patched(ecc, 54, 33), "SIZE", "unique.y"],
    ["a point that is not on the curve", patched(ecc, 22, 0), "FORMAT", "unique"],
  ] as const)
    it(`is refused with ${what}`, () => {
      const expected = refused(`ERR_EVIDENCE_${code}`, `publicArea.${part}`);
      assert.throws(() => parsePublicArea(bytes), expected);
    });

  it("is refused with trailing bytes", () => {
    const bytes = Buffer.concat([ecc, Buffer.of(0)]);
    assert.throws(() => parsePublicArea(bytes), { code: "ERR_EVIDENCE_FORMAT" });
  });
});

describe("TPMS_ATTEST", () => {
  const parts = { extraData: NONE, pcrSelect: Buffer.alloc(4), pcrDigest: Buffer.alloc(32) };

  it("is refused when it goes on", () => {
    const bytes = Buffer.concat([encodeQuote(parts), Buffer.of(0)]);
    assert.throws(() => parseQuote(bytes), { code: "ERR_EVIDENCE_FORMAT" });
  });

  it("is refused with a neither true nor false", () => {
    const expected = refused("ERR_EVIDENCE_FORMAT", "quote.clockInfo.safe");
    assert.throws(() => parseQuote(encodeQuote({ ...parts, safe: 2 })), expected);
  });

  for (const part of ["qualifiedSigner", "extraData", "pcrDigest"] as const)
    it(`bounds ${part}`, () => {
      assert.equal(
        parseQuote(encodeQuote({ ...parts, [part]: Buffer.alloc(66) }))[part].length,
        66,
      );
      const expected = refused("ERR_EVIDENCE_SIZE", `quote.${part}`);
      const bytes = encodeQuote({ ...parts, [part]: Buffer.alloc(67) });
      assert.throws(() => parseQuote(bytes), expected);
    });
});

describe("TPML_PCR_SELECTION", () => {
  it("round trip", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(23)),
        fc.constantFrom("sha256", "sha384", "sha512"),
        (indices, bank) => {
          const ascending = indices.toSorted((a, b) => a - b);
          const reader = new ByteReader(encodeSelection({ bank, indices }), "selection");
          assert.deepEqual(readSelections(reader, "x"), [{ bank, indices: ascending }]);
          reader.end();
        },
      ),
    );
  });

  it("bounds banks and octets before it reads them", () => {
    const banks = new ByteReader(u32(17), "selection");
    assert.throws(() => readSelections(banks, "x"), refused("ERR_EVIDENCE_SIZE", "x"));
    const octets = new ByteReader(Buffer.concat([u32(1), u16(0x0b), Buffer.of(5)]), "selection");
    assert.throws(() => readSelections(octets, "x"), refused("ERR_EVIDENCE_SIZE", "x"));
    const sixteen = Array.from({ length: 16 }, () => Buffer.of(0, 0x0b, 0));
    const most = new ByteReader(Buffer.concat([u32(16), ...sixteen]), "selection");
    assert.equal(readSelections(most, "x").length, 16);
  });
});

describe("TPMT_SIGNATURE", () => {
  const rsassa = Buffer.concat([u16(0x14), u16(0x0b)]);
  const ecdsa = Buffer.concat([u16(0x18), u16(0x0b)]);
  for (const [what, bytes, code, part] of [
    ["another scheme", Buffer.concat([u16(5), u16(0x0b)]), "UNSUPPORTED", "sigAlg"],
    ["SHA-1", Buffer.concat([u16(0x14), u16(4), sized()]), "UNSUPPORTED", "hash"],
    ["a long RSA value", Buffer.concat([rsassa, sized(Buffer.alloc(513))]), "SIZE", "sig"],
    ["a long r", Buffer.concat([ecdsa, sized(Buffer.alloc(49))]), "SIZE", "r"],
    ["a long s", Buffer.concat([ecdsa, sized(), sized(Buffer.alloc(49))]), "SIZE", "s"],
  ] as const)
    it(`is refused with ${what}`, () => {
      const expected = refused(`ERR_EVIDENCE_${code}`, `signature.${part}`);
      assert.throws(() => parseSignature(bytes), expected);
    });

  it("is refused with trailing bytes", () => {
    const bytes = Buffer.concat([rsassa, sized(Buffer.alloc(512)), Buffer.of(0)]);
    assert.throws(() => parseSignature(bytes), { code: "ERR_EVIDENCE_FORMAT" });
  });

  it("with a number longer than the curve's is refused", () => {
    const [r, s] = [Buffer.alloc(33, 1), Buffer.alloc(32, 1)];
    const signature = { scheme: "ecdsa", hash: "sha256", r, s } as const;
    const expected = refused("ERR_EVIDENCE_SIGNATURE", "signature");
    assert.throws(() => verifySignature(NONE, signature, P256), expected);
  });
});

it("random bytes are refused with EvidenceError by every parser", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(1, 0x23), (bytes, type) => {
      for (const parse of [parseQuote, parsePublicArea, parseSignature])
        assert.throws(() => parse(bytes), EvidenceError);
      const area = Buffer.concat([u16(type), u16(0x0b), bytes]);
      assert.throws(() => parsePublicArea(area), EvidenceError);
    }),
  );
});

/** Two bytes in the middle replaced. */
function patched(bytes: Uint8Array, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(value, at);
  return copy;
}

function keyWithShortX(): { x?: string; y?: string } {
  for (;;) {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const { x, y } = publicKey.export({ format: "jwk" });
    if (x !== undefined && y !== undefined && Buffer.from(x, "base64url").readUInt8() === 0)
      return { x, y };
  }
}
