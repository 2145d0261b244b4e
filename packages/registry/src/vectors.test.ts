import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import { parseVerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { signKeyRecord, verifyKeyRecord } from "@redoubt/keys";
import { Registry } from "./registry.ts";
import { parseStatement } from "./statement-parser.ts";
import { registryEntry } from "./statement.ts";

function readVectors(name: string): MemberReader {
  const url = new URL(`../../../vectors/keys/${name}`, import.meta.url);
  return new MemberReader(parseJsonObject(readFileSync(url)), name);
}

function objects(reader: MemberReader, name: string): MemberReader[] {
  const list = reader.array(name, 100).map((item) => {
    assert.ok(isJsonObject(item));
    return new MemberReader(item, name);
  });
  assert.ok(list.length > 0);
  return list;
}

/** RFC 8410 §7 around a seed that is one byte, 32 times. */
function keyOfSeed(byte: number) {
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const key = Buffer.concat([prefix, Buffer.alloc(32, byte)]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

describe("vectors/keys, which another implementation computed", () => {
  const recordVectors = readVectors("key-records.json");
  const ring = recordVectors.object("ring");
  const ringKey = keyOfSeed(ring.integer("seedByte", 0, 255));
  const ringVkey = parseVerifierKey(ring.string("vkey"));
  for (const vector of objects(recordVectors, "records"))
    it(`key record: ${vector.string("what")}`, () => {
      const bytes = Buffer.from(vector.string("record", 10_000));
      assert.equal(encodeBase64url(bytes), vector.string("recordBase64url", 10_000));
      const { v: _, ...fields } = parseJsonObject(bytes);
      const signed = signKeyRecord(fields, ringKey);
      assert.deepEqual(signed.recordBytes, bytes);
      assert.equal(signed.record.kid, vector.string("kid"));
      assert.equal(encodeBase64url(signed.ringSignature), vector.string("ringSignature"));
      assert.deepEqual(verifyKeyRecord(bytes, signed.ringSignature, ringVkey.publicKey), signed);
    });

  const statementVectors = readVectors("statements.json");
  const operator = statementVectors.object("operator");
  const operatorKey = keyOfSeed(operator.integer("seedByte", 0, 255));
  const statements = objects(statementVectors, "statements").map((vector) => ({
    what: vector.string("what"),
    statement: Buffer.from(vector.string("statement", 10_000)),
    envelope: Buffer.from(vector.string("envelope", 10_000)),
    entryHex: vector.string("entryHex"),
  }));
  for (const { what, statement, envelope, entryHex } of statements)
    it(`statement: ${what}`, () => {
      assert.equal(parseStatement(statement).type, what);
      assert.equal(registryEntry(statement, envelope).toString("hex"), entryHex);
      const author = what.startsWith("key") ? ringKey : operatorKey;
      const input = Buffer.concat([Buffer.from("redoubt/statement/v1\n"), statement]);
      assert.equal(parseJsonObject(envelope)["sig"], encodeBase64url(sign(null, input, author)));
    });

  it("one registry applies all statements in their order", () => {
    const registry = new Registry({ operator: parseVerifierKey(operator.string("vkey")) });
    for (const [index, { statement, envelope, entryHex }] of statements.entries()) {
      const entry = Buffer.from(entryHex, "hex");
      const result = registry.apply({ index, entry, statement, envelope });
      assert.equal(result.kind, "applied", JSON.stringify(result));
    }
    assert.deepEqual(
      [...registry.keys.values()].map(({ state }) => state),
      ["prepublished"],
    );
  });
});
