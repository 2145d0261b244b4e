import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import {
  encodeReferenceValues,
  joinReferenceSets,
  type ReferenceTrust,
  type ReferenceValues,
  releaseKeyId,
  signReferenceValues,
  verifyReferenceValues,
} from "./reference-values.ts";

const NOW = Date.UTC(2026, 5, 1);
const keys = Array.from({ length: 3 }, () => generateKeyPairSync("ed25519"));
const [first, second, stranger] = keys;
assert.ok(first !== undefined && second !== undefined && stranger !== undefined);
const trust: ReferenceTrust = {
  releaseKeys: [first.publicKey, second.publicKey],
  threshold: 2,
  now: NOW,
};
const values: ReferenceValues = {
  name: "signer",
  version: 7,
  notAfter: NOW,
  sets: new Map([
    ["signer/pcr4", ["aa".repeat(32)]],
    ["firmware/pcr0@2-1536", ["bb", "cc".repeat(64)]],
  ]),
};
const draft = encodeReferenceValues(values);
const signed = signReferenceValues(signReferenceValues(draft, first.privateKey), second.privateKey);

function refused(part: string, file: string, changes: Partial<ReferenceTrust> = {}): void {
  assert.throws(
    () => verifyReferenceValues(file, { ...trust, ...changes }),
    { name: "EvidenceError", code: "ERR_EVIDENCE_REFERENCE", part },
    `${part} ${file.slice(0, 80)}`,
  );
}

test("values that two release keys signed", () => {
  const found = verifyReferenceValues(Buffer.from(signed), trust);
  assert.deepEqual(found, { ...values, sets: new Map([...values.sets].toReversed()) });
});

test("one release key alone, a stranger, or one key twice are not two", () => {
  const one = signReferenceValues(draft, first.privateKey);
  refused("signatures", draft);
  refused("signatures", one);
  refused("signatures", signReferenceValues(one, stranger.privateKey));
  refused("signatures", signReferenceValues(one, first.privateKey));
  const { signatures, ...rest } = JSON.parse(one);
  refused("signatures", JSON.stringify({ ...rest, signatures: [...signatures, ...signatures] }));
  const [{ value }] = signatures;
  refused(
    "signatures",
    JSON.stringify({
      ...rest,
      signatures: [...signatures, { key: releaseKeyId(second.publicKey), value }],
    }),
  );
  verifyReferenceValues(one, { ...trust, threshold: 1 });
  assert.throws(() => verifyReferenceValues(one, { ...trust, threshold: 0 }), RangeError);
});

test("THREAT-13: values that have run out, or are below the floor, are refused", () => {
  refused("notAfter", signed, { now: NOW + 1 });
  verifyReferenceValues(signed, {
    ...trust,
    floors: new Map([
      ["signer", 7],
      ["other", 9],
    ]),
  });
  refused("version", signed, { floors: new Map([["signer", 8]]) });
});

test("only Ed25519 keys sign", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  assert.throws(() => signReferenceValues(draft, privateKey), TypeError);
});

test("sets of several files are joined", () => {
  const other = { ...values, sets: new Map([["signer/pcr4", ["dd"]]]) };
  assert.deepEqual(joinReferenceSets([values, other]).get("signer/pcr4"), ["aa".repeat(32), "dd"]);
  assert.equal(joinReferenceSets([]).size, 0);
});

function payloadOf(payload: unknown): string {
  return JSON.stringify({
    v: 1,
    payload: Buffer.from(JSON.stringify(payload)).toString("base64url"),
    signatures: [],
  });
}

test("what is not as specified is refused, before anybody signs it, too", () => {
  const good = {
    name: "signer",
    version: 7,
    notAfter: "2026-06-01T00:00:00.000Z",
    values: { a: ["aa"] },
  };
  const wrong: readonly (readonly [object, string])[] = [
    [{ ...good, extra: 1 }, "payload"],
    [{ ...good, name: "Signer" }, "name"],
    [{ ...good, name: 5 }, "name"],
    [{ ...good, version: -1 }, "version"],
    [{ ...good, version: 1.5 }, "version"],
    [{ ...good, version: "7" }, "version"],
    [{ ...good, notAfter: "2026-06-01" }, "notAfter"],
    [{ ...good, notAfter: "never" }, "notAfter"],
    [{ ...good, notAfter: 5 }, "notAfter"],
    [{ ...good, values: [] }, "values"],
    [{ ...good, values: { A: ["aa"] } }, "values"],
    [{ ...good, values: { a: [] } }, "values"],
    [{ ...good, values: { a: "aa" } }, "values"],
    [{ ...good, values: { a: ["AA"] } }, "values"],
    [{ ...good, values: { a: ["a"] } }, "values"],
    [{ ...good, values: { a: [5] } }, "values"],
    [{ ...good, values: { a: [["aa"]] } }, "values"],
    [{ ...good, values: { a: Array.from({ length: 10_001 }, () => "aa") } }, "values"],
  ];
  for (const [payload, part] of wrong)
    assert.throws(
      () => signReferenceValues(payloadOf(payload), first.privateKey),
      { code: "ERR_EVIDENCE_REFERENCE", part },
      JSON.stringify(payload).slice(0, 120),
    );
  signReferenceValues(
    payloadOf({ ...good, values: { a: Array.from({ length: 10_000 }, () => "aa") } }),
    first.privateKey,
  );
  assert.throws(() => encodeReferenceValues({ ...values, name: "" }), { part: "name" });
  const file = JSON.parse(signed);
  const [one] = file.signatures;
  for (const [changes, part] of [
    [{ v: 2 }, "file"],
    [{ extra: 1 }, "file"],
    [{ payload: 5 }, "payload"],
    [{ payload: "*" }, "payload"],
    [{ signatures: "x" }, "signatures"],
    [{ signatures: ["x"] }, "signatures"],
    [{ signatures: [{ ...one, key: 5 }] }, "signatures"],
    [{ signatures: [{ ...one, value: "AA" }] }, "signatures"],
    [{ signatures: [{ ...one, extra: 1 }] }, "signatures"],
    [{ signatures: Array.from({ length: 17 }, () => one) }, "signatures"],
  ] as const)
    assert.throws(() => verifyReferenceValues(JSON.stringify({ ...file, ...changes }), trust), {
      code: "ERR_EVIDENCE_REFERENCE",
      message: `Reference values, ${part}: missing or not as specified`,
    });
  refused("file", "{");
});

test("no changed byte of what is signed is accepted", () => {
  fc.assert(
    fc.property(fc.nat(signed.length - 1), fc.integer({ min: 32, max: 126 }), (at, character) => {
      const changed = `${signed.slice(0, at)}${String.fromCodePoint(character)}${signed.slice(at + 1)}`;
      try {
        assert.deepEqual(
          verifyReferenceValues(changed, trust),
          verifyReferenceValues(signed, trust),
        );
      } catch (error) {
        assert.ok(error instanceof EvidenceError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
