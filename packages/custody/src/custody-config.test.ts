import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import {
  CLOUD_CUSTODY,
  openCustodian,
  parseCustodyConfig,
  type CustodyConfig,
} from "./custody-config.ts";
import { isCustodyAway } from "./custody.ts";
import { KeyError } from "@redoubt/keys";

const root = mkdtempSync(join(tmpdir(), "redoubt-custody-config-"));
after(() => rmSync(root, { recursive: true }));

const hsm: JsonObject = {
  kind: "pkcs11",
  module: "/usr/lib/softhsm/libsofthsm2.so",
  tokenLabel: "redoubt",
  pinFile: "signer/pin",
};

function refused(json: JsonObject, ...problems: RegExp[]): void {
  assert.throws(
    () => parseCustodyConfig(json),
    (error) => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.code, "ERR_CONFIG");
      for (const problem of problems) assert.match(error.message, problem);
      return true;
    },
  );
}

function isOwn(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof ServiceError && error.code === "ERR_CONFIG");
  }
}

describe("parseCustodyConfig", () => {
  it("reads sealed files, with the passphrase beside them or elsewhere", () => {
    assert.deepEqual(parseCustodyConfig({ kind: "file", passphrase: "beside" }), {
      kind: "file",
      passphrase: "beside",
    });
    assert.deepEqual(parseCustodyConfig({ kind: "file", passphraseFile: "/run/secret" }), {
      kind: "file",
      passphrase: { file: "/run/secret" },
    });
    refused({ kind: "file" }, /one of passphrase/);
    refused({ kind: "file", passphrase: "beside", passphraseFile: "x" }, /one of passphrase/);
    refused({ kind: "file", passphrase: "secret" }, /passphrase must be one of beside/);
    refused({ kind: "file", passphrase: "beside", pinFile: "x" }, /unknown member pinFile/);
  });

  it("reads a token, also from bytes", () => {
    assert.deepEqual(parseCustodyConfig(hsm), hsm);
    const whole = { ...hsm, sessions: 8, signing: "async" };
    assert.deepEqual(parseCustodyConfig(Buffer.from(JSON.stringify(whole))), whole);
  });

  const bad: readonly [string, JsonValue][] = [
    ["module", "libsofthsm2.so"],
    ["module", ""],
    ["module", "/lib\u0000.so"],
    ["tokenLabel", ""],
    ["tokenLabel", "x".repeat(33)],
    ["tokenLabel", "padded "],
    ["tokenLabel", " padded"],
    ["tokenLabel", "ümlaut"],
    ["pinFile", ""],
    ["pinFile", 1234],
    ["sessions", 0],
    ["sessions", 65],
    ["sessions", 1.5],
    ["signing", "both"],
    ["pin", "1234"],
    ["kind", "hsm"],
  ];
  for (const [name, value] of bad)
    it(`refuses ${name} ${JSON.stringify(value)}`, () => {
      refused({ ...hsm, [name]: value }, new RegExp(`\\b${name}\\b`));
    });
  it("takes what stands at the bounds", () => {
    for (const good of [{ sessions: 1 }, { sessions: 64 }, { tokenLabel: "x".repeat(32) }])
      assert.deepEqual(parseCustodyConfig({ ...hsm, ...good }), { ...hsm, ...good });
  });

  it("tells all problems at once, and needs every member", () => {
    refused(
      { kind: "pkcs11", sessions: 0, pin: "1" },
      /module/,
      /tokenLabel/,
      /pinFile/,
      /sessions/,
      /pin\b/,
    );
    refused({}, /kind must be one of/);
    for (const name of ["kind", "module", "tokenLabel", "pinFile"])
      refused(
        Object.fromEntries(Object.entries(hsm).filter(([member]) => member !== name)),
        new RegExp(`${name} must be`),
      );
  });

  it("leaves a cloud's settings to its adapter", () => {
    for (const kind of CLOUD_CUSTODY) {
      const settings = { kind, anything: 1 };
      assert.deepEqual(parseCustodyConfig(settings), { kind, settings });
    }
  });

  it("throws nothing but its own error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) =>
        isOwn(() => parseCustodyConfig(bytes)),
      ),
    );
    const members = fc.dictionary(
      fc.constantFrom("kind", "passphrase", "module", "tokenLabel", "pinFile", "x", "__proto__"),
      fc.oneof(fc.constantFrom("file", "pkcs11", "aws-kms"), fc.jsonValue()),
    );
    fc.assert(
      fc.property(members, (object) =>
        isOwn(() => parseCustodyConfig(Buffer.from(JSON.stringify(object)))),
      ),
    );
  });
});

describe("openCustodian", () => {
  const folder = mkdtempSync(join(root, "keys-"));

  it("opens sealed files in the folder", async () => {
    await using beside = await openCustodian({ kind: "file", passphrase: "beside" }, folder);
    assert.equal(beside.label, "plain-file");
    const file = join(root, "passphrase");
    writeFileSync(file, "correct horse\n", { mode: 0o600 });
    const other = mkdtempSync(join(root, "sealed-"));
    await using sealed = await openCustodian({ kind: "file", passphrase: { file } }, other);
    assert.equal(sealed.label, "sealed-file");
    assert.deepEqual(readdirSync(other), []);
  });

  it("says what is missing of a token's module", async () => {
    const config: CustodyConfig = {
      kind: "pkcs11",
      module: join(root, "absent.so"),
      tokenLabel: "redoubt",
      pinFile: join(root, "pin"),
    };
    await assert.rejects(openCustodian(config, folder), { code: "ERR_KEY_MODULE" });
  });

  it("loads the adapter of the configured cloud, and no other", async () => {
    const settings = { kind: "aws-kms", region: "eu-central-1" };
    const seen: unknown[] = [];
    const loaders = {
      "aws-kms": async () => async (given: JsonObject) => {
        seen.push(given);
        return openCustodian({ kind: "file", passphrase: "beside" }, folder);
      },
      "google-kms": async () => assert.fail("not configured"),
    };
    await using custodian = await openCustodian({ kind: "aws-kms", settings }, folder, { loaders });
    assert.equal(custodian.label, "plain-file");
    assert.deepEqual(seen, [settings]);
    await assert.rejects(openCustodian({ kind: "azure-keyvault", settings }, folder, { loaders }), {
      code: "ERR_KEY_MODULE",
    });
  });
});

it("custody that is away is told from what stays wrong", () => {
  assert.equal(isCustodyAway(new KeyError("ERR_KEY_BUSY", "away")), true);
  for (const other of [new KeyError("ERR_KEY_REFUSED", "no"), new Error("ERR_KEY_BUSY"), undefined])
    assert.equal(isCustodyAway(other), false);
});
