import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ed25519Key } from "./testing/fixture-keys.ts";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { NEEDS_VECTORS, publishedVector } from "./testing/fixture-vectors.ts";
import { sha256 } from "./hash.ts";
import { createVerifierKey, encodeVerifierKey, parseVerifierKey, SIGNATURE_TYPE } from "./vkey.ts";

const publicKey = createPublicKey(ed25519Key(1));
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
const { ed25519, ecdsa, cosignature } = SIGNATURE_TYPE;

/** A verifier key as text, with an id that fits whatever the material is. */
function vkey(name: string, material: Buffer): string {
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), material])).subarray(0, 4);
  return `${name}+${id.toString("hex")}+${material.toString("base64")}`;
}

/** The same for ECDSA, whose id is that of the SPKI alone. */
function ecdsaVkey(der: Buffer): string {
  const material = Buffer.concat([Buffer.of(ecdsa), der]).toString("base64");
  return `a+${sha256(der).subarray(0, 4).toString("hex")}+${material}`;
}

function idOf(name: string, type: typeof ed25519 | typeof cosignature): number {
  return createVerifierKey({ name, type, publicKey }).keyId;
}

const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
const good = vkey("log.example", Buffer.concat([Buffer.of(1), raw]));

describe("parseVerifierKey()", () => {
  it("reads the keys of the published vectors and writes them back", (t) => {
    const formats = publishedVector("formats/cases.json");
    const examples = publishedVector("c2sp/examples.json");
    if (formats === undefined || examples === undefined) return t.skip(NEEDS_VECTORS);
    const { vkeys }: { vkeys: { vkey: string; type: number }[] } = JSON.parse(formats);
    const { signed_note: note }: { signed_note: { vkey: string } } = JSON.parse(examples);
    assert.equal(vkeys.length, 2);
    for (const { vkey: text, type } of [...vkeys, { vkey: note.vkey, type: ed25519 }]) {
      const key = parseVerifierKey(text);
      assert.equal(key.type, type);
      assert.equal(encodeVerifierKey(key), text);
    }
  });

  it("reads back a key of each type", () => {
    for (const [type, key] of [
      [ed25519, publicKey],
      [ecdsa, p256],
      [cosignature, publicKey],
    ] as const) {
      const made = createVerifierKey({ name: "log.example/a", type, publicKey: key });
      const { publicKey: read, ...rest } = parseVerifierKey(encodeVerifierKey(made));
      assert.equal(read.equals(key), true);
      assert.deepEqual(rest, { name: "log.example/a", type, keyId: made.keyId });
    }
  });

  it("computes the key id over name, type and key, but for ECDSA over the SPKI alone", () => {
    const expected = sha256(Buffer.concat([Buffer.from("a\n"), Buffer.of(1), raw]));
    assert.equal(idOf("a", 1), expected.readUInt32BE());
    assert.equal(new Set([idOf("a", 1), idOf("b", 1), idOf("a", 4)]).size, 3);
    const spki = p256.export({ format: "der", type: "spki" });
    for (const name of ["a", "b"])
      assert.equal(
        createVerifierKey({ name, type: ecdsa, publicKey: p256 }).keyId,
        sha256(spki).readUInt32BE(),
      );
  });

  it("refuses a key id that is not that of the key, in any spelling but lower-case hex", () => {
    assert.equal(parseVerifierKey(good).name, "log.example");
    const [name = "", id = "", material = ""] = good.split("+");
    for (const wrong of ["00000000", "", id.slice(1), `0${id}`, id.toUpperCase(), `0x${id}`])
      refuses("ERR_TLOG_VKEY", () => parseVerifierKey(`${name}+${wrong}+${material}`), /Key id/);
  });

  it("refuses names that are empty or have spaces, plus signs, controls or half characters", () => {
    const material = Buffer.concat([Buffer.of(1), raw]);
    for (const name of [
      "",
      "a b",
      "a\u00a0b",
      "a\u0085b",
      "a\u2028b",
      "a\u3000b",
      "a\tb",
      "a\nb",
      "a\u0000",
      "a\ud800",
    ])
      refuses("ERR_TLOG_VKEY", () => parseVerifierKey(vkey(name, material)), /name/);
    for (const name of ["a+b", "", " "])
      refuses("ERR_TLOG_VKEY", () => createVerifierKey({ name, type: ed25519, publicKey }), /name/);
    for (const name of ["a", "log.example/\u00e9", "\u{1f512}"])
      assert.equal(parseVerifierKey(vkey(name, material)).name, name);
  });

  it("refuses types that it does not verify", () => {
    for (const type of [0, 3, 5, 6, 0xff])
      refuses("ERR_TLOG_VKEY", () =>
        parseVerifierKey(vkey("a", Buffer.concat([Buffer.of(type), raw]))),
      );
    refuses("ERR_TLOG_VKEY", () => parseVerifierKey(vkey("a", Buffer.alloc(0))));
  });

  it("refuses keys of another length or kind", () => {
    for (const bytes of [raw.subarray(1), Buffer.concat([raw, Buffer.of(0)]), Buffer.alloc(0)])
      refuses("ERR_TLOG_VKEY", () =>
        parseVerifierKey(vkey("a", Buffer.concat([Buffer.of(1), bytes]))),
      );
    const spki = p256.export({ format: "der", type: "spki" });
    assert.equal(parseVerifierKey(ecdsaVkey(spki)).type, ecdsa);
    const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey;
    const ed = publicKey.export({ format: "der", type: "spki" });
    for (const der of [
      spki.subarray(1),
      Buffer.concat([spki, Buffer.of(0)]),
      p384.export({ format: "der", type: "spki" }),
      ed,
      Buffer.alloc(0),
    ])
      refuses("ERR_TLOG_VKEY", () => parseVerifierKey(ecdsaVkey(der)));
    const longer = Buffer.concat([Buffer.of(ecdsa), spki, Buffer.of(0)]).toString("base64");
    const id = ecdsaVkey(spki).slice(0, "a+01234567+".length);
    refuses("ERR_TLOG_VKEY", () => parseVerifierKey(id + longer), /one encoding/);
  });

  it("refuses base64 that is not in its one spelling", () => {
    const [name, id, material = ""] = good.split("+", 3);
    const rest = good.slice(`${name}+${id}+`.length);
    assert.ok(rest.startsWith(material));
    for (const wrong of [
      `${rest}=`,
      rest.slice(0, -1),
      `${rest}\n`,
      ` ${rest}`,
      rest.replaceAll("/", "_").replaceAll("+", "-") + "!",
    ])
      refuses("ERR_TLOG_VKEY", () => parseVerifierKey(`${name}+${id}+${wrong}`));
  });

  it("bounds the length of the text", () => {
    refuses("ERR_TLOG_VKEY", () => parseVerifierKey("a".repeat(4097)), /too long/);
    refuses("ERR_TLOG_VKEY", () => parseVerifierKey("a".repeat(4096)), /malformed/);
  });

  it("never answers with anything but its own error", () => {
    fc.assert(
      fc.property(
        fc.nat(good.length),
        fc.nat(3),
        fc.string({ unit: "binary", maxLength: 3 }),
        (at, cut, put) => {
          const text = good.slice(0, at) + put + good.slice(at + cut);
          const key = survives(() => parseVerifierKey(text));
          if (key !== undefined) assert.equal(encodeVerifierKey(key), text);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("createVerifierKey()", () => {
  it("refuses a key that is not a public key of the type", () => {
    for (const [type, key] of [
      [ed25519, p256],
      [ecdsa, publicKey],
      [cosignature, p256],
      [ed25519, ed25519Key(1)],
      [ecdsa, generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey],
      [ed25519, generateKeyPairSync("x25519").publicKey],
    ] as const)
      refuses("ERR_TLOG_VKEY", () => createVerifierKey({ name: "a", type, publicKey: key }));
  });
});
