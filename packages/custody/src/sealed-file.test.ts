import assert from "node:assert/strict";
import { createDecipheriv, scryptSync } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { inspect } from "node:util";
import { canonicalBytes, Secret } from "@redoubt/base";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { KeyError } from "@redoubt/keys";
import { createKeyFile, openKeyFile } from "./key-file.ts";
import { openSealedFile, writeSealedFile } from "./sealed-file.ts";

const root = mkdtempSync(join(tmpdir(), "redoubt-sealed-"));
after(() => rmSync(root, { recursive: true }));
const path = join(root, "file");
const passphrase = new Secret("correct horse");
const secret = Buffer.from("planted-key-material");

function seal(kdf: "scrypt" | "hkdf-sha256" = "hkdf-sha256"): Buffer {
  writeSealedFile(path, secret, passphrase, { kdf, kind: "test" });
  return readFileSync(path);
}
function put(bytes: string | Uint8Array): void {
  writeFileSync(path, bytes, { mode: 0o600 });
}
function text(value: JsonObject, name: string): string {
  const member = value[name];
  assert.ok(typeof member === "string");
  return member;
}

/** THREAT-19: whatever fails, neither the secret nor the passphrase is in what a log would show. */
function failsWith(code: string | RegExp, use: () => unknown): void {
  assert.throws(use, (error) => {
    assert.ok(error instanceof KeyError);
    assert.match(error.code, new RegExp(code));
    const shown = inspect(error, { depth: null, showHidden: true });
    for (const hidden of [
      secret.toString(),
      secret.toString("hex"),
      secret.toString("base64"),
      "horse",
    ])
      assert.equal(shown.includes(hidden), false);
    return true;
  });
}

describe("sealed files", () => {
  for (const kdf of ["scrypt", "hkdf-sha256"] as const)
    it(`give back what was sealed by ${kdf}, are closed to others, and hide the content`, () => {
      const bytes = seal(kdf);
      assert.deepEqual(openSealedFile(path, passphrase, "test"), secret);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(bytes.includes(secret), false);
      assert.notDeepEqual(seal(kdf), bytes);
      failsWith("ERR_KEY_PASSPHRASE", () => openSealedFile(path, new Secret("wrong"), "test"));
    });

  it("use scrypt with N = 2^15, r = 8, p = 3 and AES-256-GCM, the header as associated data", () => {
    const { sealed: _, ...header } = parseJsonObject(seal("scrypt"));
    const sealed = decodeBase64url(text(parseJsonObject(readFileSync(path)), "sealed"));
    const salt = decodeBase64url(text(header, "salt"), { bytes: 16 });
    const cost = { N: 32_768, r: 8, p: 3, maxmem: 2 ** 27 };
    const key = scryptSync(passphrase.reveal(), salt, 32, cost);
    const nonce = decodeBase64url(text(header, "nonce"), { bytes: 12 });
    const decipher = createDecipheriv("aes-256-gcm", key, nonce);
    decipher.setAAD(canonicalBytes(header));
    decipher.setAuthTag(sealed.subarray(-16));
    const opened = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
    assert.deepEqual(opened, secret);
    assert.deepEqual(Object.keys(header).toSorted(), ["kdf", "kind", "nonce", "salt", "v"]);
  });

  it("are refused with any bit changed", () => {
    const good = seal();
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const bytes = Buffer.from(good);
      const at = bit >> 3;
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit & 7)), at);
      put(bytes);
      failsWith("ERR_KEY_(FILE|PASSPHRASE)", () => openSealedFile(path, passphrase, "test"));
    }
  });

  it("are refused at any shorter length, and with anything after them", () => {
    const good = seal();
    for (let length = 0; length < good.length; length += 1) {
      put(good.subarray(0, length));
      failsWith("ERR_KEY_FILE", () => openSealedFile(path, passphrase, "test"));
    }
    put(`${good.toString()}x`);
    failsWith("ERR_KEY_FILE", () => openSealedFile(path, passphrase, "test"));
  });

  const header = {
    v: 1,
    kdf: "hkdf-sha256",
    kind: "test",
    nonce: "A".repeat(16),
    salt: "A".repeat(22),
  };
  const malformed: readonly (readonly [string, JsonObject])[] = [
    ["without a sealed part", header],
    ["with a sealed part shorter than a tag", { ...header, sealed: "A".repeat(20) }],
    ["of another version", { ...header, v: 2, sealed: "A".repeat(40) }],
    ["of another derivation", { ...header, kdf: "none", sealed: "A".repeat(40) }],
    ["with a short salt", { ...header, salt: "A".repeat(20), sealed: "A".repeat(40) }],
    ["with a short nonce", { ...header, nonce: "A".repeat(14), sealed: "A".repeat(40) }],
    ["with a further member", { ...header, N: 2, sealed: "A".repeat(40) }],
    [
      "with a kind that a terminal would act on",
      { ...header, kind: "\u009b2J", sealed: "A".repeat(40) },
    ],
  ];
  for (const [what, value] of malformed)
    it(`are refused ${what}`, () => {
      put(canonicalBytes(value));
      failsWith("ERR_KEY_FILE", () => openSealedFile(path, passphrase, "test"));
    });

  it("are not taken for another kind", () => {
    seal();
    failsWith("ERR_KEY_FILE", () => openSealedFile(path, passphrase, "other"));
    // Nor when somebody writes the other kind over it: the kind is authenticated.
    put(readFileSync(path, "utf8").replace('"kind":"test"', '"kind":"other"'));
    failsWith("ERR_KEY_PASSPHRASE", () => openSealedFile(path, passphrase, "other"));
  });

  it("THREAT-32: are refused when others can read them or a link stands there", () => {
    seal();
    chmodSync(path, 0o640);
    assert.throws(() => openSealedFile(path, passphrase, "test"), { code: "ERR_FILE_MODE" });
    chmodSync(path, 0o600);
    symlinkSync(path, `${path}-link`);
    const linked = () => openSealedFile(`${path}-link`, passphrase, "test");
    assert.throws(linked, { code: "ERR_FILE_KIND" });
    assert.throws(() => openSealedFile(`${path}-absent`, passphrase, "test"), {
      code: "ERR_KEY_FILE",
      message: /-absent cannot be read: expected a sealed test/,
    });
  });

  it("hold at most 32 KiB", () => {
    const most = Buffer.alloc(32 * 1024, 7);
    writeSealedFile(path, most, passphrase, { kdf: "hkdf-sha256", kind: "test" });
    assert.deepEqual(openSealedFile(path, passphrase, "test"), most);
    const more = Buffer.alloc(most.length + 1);
    const write = () =>
      writeSealedFile(path, more, passphrase, { kdf: "hkdf-sha256", kind: "test" });
    assert.throws(write, RangeError);
  });
});

describe("identity key files", () => {
  it("give back the key, and never replace one", () => {
    const key = join(root, "identity");
    const made = createKeyFile(key, "Ed25519");
    assert.equal(openKeyFile(key).privateKey.equals(made.privateKey), true);
    assert.equal(openKeyFile(key).publicKey.equals(made.publicKey), true);
    const bytes = readFileSync(key);
    failsWith("ERR_KEY_FILE", () => createKeyFile(key, "Ed25519"));
    assert.deepEqual(readFileSync(key), bytes);
    assert.equal(openKeyFile(key).privateKey.equals(made.privateKey), true);
    for (const file of [key, `${key}.pass`]) assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  it("are not made through a link to nowhere", () => {
    symlinkSync(join(root, "elsewhere"), join(root, "placed"));
    failsWith("ERR_KEY_FILE", () => createKeyFile(join(root, "placed"), "Ed25519"));
  });

  it("need the passphrase beside them, whole and closed to others", () => {
    const key = join(root, "second");
    createKeyFile(key, "ES256");
    const pass = readFileSync(`${key}.pass`);
    writeFileSync(`${key}.pass`, "");
    failsWith("ERR_KEY_PASSPHRASE", () => openKeyFile(key));
    writeFileSync(`${key}.pass`, pass.subarray(1));
    failsWith("ERR_KEY_PASSPHRASE", () => openKeyFile(key));
    writeFileSync(`${key}.pass`, pass);
    chmodSync(`${key}.pass`, 0o644);
    assert.throws(() => openKeyFile(key), { code: "ERR_FILE_MODE" });
  });

  it("must hold a private key", () => {
    const key = join(root, "third");
    createKeyFile(key, "Ed25519");
    const pass = new Secret(readFileSync(`${key}.pass`, "utf8"));
    writeSealedFile(key, secret, pass, { kdf: "hkdf-sha256", kind: "private-key" });
    failsWith("ERR_KEY_FILE", () => openKeyFile(key));
  });
});
