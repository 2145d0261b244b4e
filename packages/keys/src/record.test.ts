import assert from "node:assert/strict";
import { generateKeyPairSync, hash } from "node:crypto";
import { describe, it } from "node:test";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { KeyError } from "./errors.ts";
import { encodeKeyRecord, signKeyRecord, verifyKeyRecord } from "./record.ts";
import { generateKeyPair, publicJwk } from "./algorithm.ts";

const NOW = 1_795_000_000;
const { publicKey: ring, privateKey: ringKey } = generateKeyPairSync("ed25519");
const signed = signKeyRecord(
  {
    alg: "ES256",
    publicKey: { ...publicJwk(generateKeyPair("ES256").publicKey) },
    realm: "enterprise",
    issuer: "https://id.example/{tenantid}/v2.0",
    tenants: { bucket: 0, of: 1, except: ["9188040d-6c67-4c5b-b112-36a304b66dad"] },
    class: "at",
    audiences: "any",
    maxLifetimeSeconds: 3600,
    signFrom: NOW,
    signUntil: NOW + 86_400,
    verifyUntil: NOW + 100_000,
    custody: "sealed-file",
    issuanceFloor: "audit",
    log: "id.example/enterprise/2026q4",
  },
  ringKey,
);
const { v, ...fields } = parseJsonObject(signed.recordBytes);

/** Why a record is refused. */
function named(change: JsonObject): string {
  try {
    encodeKeyRecord(change);
  } catch (error) {
    if (error instanceof KeyError && error.code === "ERR_KEY_RECORD") return error.message;
    throw error;
  }
  return "accepted";
}

describe("key records", () => {
  it("are named by the digest of their bytes, whatever order their fields are given in", () => {
    const kid = hash("sha256", signed.recordBytes, "base64url");
    assert.equal(signed.record.kid, kid);
    const turned = encodeKeyRecord(Object.fromEntries(Object.entries(fields).toReversed()));
    assert.equal(turned.record.kid, kid);
    assert.deepEqual(turned.bytes, signed.recordBytes);
    assert.equal(v, 1);
  });

  it("P1: have another name for any other scope, and none without a scope", () => {
    const other = encodeKeyRecord({ ...fields, audiences: ["https://api.test"] });
    assert.notEqual(other.record.kid, signed.record.kid);
    for (const name of Object.keys(fields)) {
      const { [name]: _, ...rest } = fields;
      assert.throws(
        () => encodeKeyRecord(rest),
        { name: "KeyError", code: "ERR_KEY_RECORD" },
        name,
      );
    }
    assert.throws(() => encodeKeyRecord({ ...fields, extra: 1 }), {
      name: "KeyError",
      code: "ERR_KEY_RECORD",
    });
    assert.throws(() => encodeKeyRecord({ ...fields, v: 2 }), {
      name: "KeyError",
      code: "ERR_KEY_RECORD",
    });
  });

  it("P1: without their scope are refused with every problem named", () => {
    const { publicKey = "" } = fields;
    // A record of nothing but a key: each of the twelve others is named, and nothing that is there.
    const problems = named({ publicKey, alg: "ES256" }).split("; ");
    const missing = Object.keys(fields).filter((name) => name !== "publicKey" && name !== "alg");
    assert.deepEqual(
      new Set(problems.map((problem) => /^Key record (\w+): expected/.exec(problem)?.[1])),
      new Set(missing),
    );
    assert.equal(problems.length, missing.length);
    assert.equal(named({}).split("; ").length, Object.keys(fields).length);
    const wrong = { ...fields, realm: "X", alg: "HS256", publicKey: {}, signUntil: 1, a: 1, b: 2 };
    assert.deepEqual(
      named(wrong)
        .split("; ")
        .map((problem) => /^Key record (\w+):/.exec(problem)?.[1]),
      ["alg", "realm", "signUntil", "a", "b"],
    );
    const flood = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x${i}`, 1]));
    assert.match(named({ ...fields, ...flood }), /and more$/);
  });

  it("count with their ring's signature over exactly their bytes", () => {
    const { recordBytes, ringSignature } = signed;
    assert.deepEqual(verifyKeyRecord(recordBytes, ringSignature, ring), signed);
    const refused = { name: "KeyError", code: "ERR_KEY_SIGNATURE" };
    for (let at = 0; at < recordBytes.length; at += 1) {
      const bytes = Buffer.from(recordBytes);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      assert.throws(() => verifyKeyRecord(bytes, ringSignature, ring), refused);
    }
    for (let at = 0; at < ringSignature.length; at += 1) {
      const signature = Buffer.from(ringSignature);
      signature.writeUInt8(signature.readUInt8(at) ^ 1, at);
      assert.throws(() => verifyKeyRecord(recordBytes, signature, ring), refused);
    }
    for (const signature of [Buffer.alloc(0), ringSignature.subarray(1)])
      assert.throws(() => verifyKeyRecord(recordBytes, signature, ring), refused);
    const { publicKey: foreign } = generateKeyPairSync("ed25519");
    assert.throws(() => verifyKeyRecord(recordBytes, ringSignature, foreign), refused);
  });

  it("are signed and verified with Ed25519 ring keys only", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    assert.throws(() => signKeyRecord(fields, privateKey), { code: "ERR_KEY_ALG" });
    assert.throws(() => verifyKeyRecord(signed.recordBytes, signed.ringSignature, publicKey), {
      code: "ERR_KEY_SIGNATURE",
    });
  });
});
