import assert from "node:assert/strict";
import { test } from "node:test";
import { DerReader } from "./der.ts";
import { checkNotRevoked, verifyCrl } from "./crl.ts";
import {
  algorithmOf,
  authority,
  type CrlOptions,
  type Extension,
  makeCertificate,
  makeCrl,
  makeSigner,
  TEST_NOW,
} from "./testing/certificates.ts";
import {
  bits,
  commonName,
  integer,
  nothing,
  octets,
  sequence,
  time,
} from "./testing/der-writer.ts";
import { parseCertificate } from "./x509.ts";

const ca = makeSigner("CA", "ecdsa-sha256");
const issuer = parseCertificate(
  makeCertificate({ subject: ca, issuer: ca, extensions: authority() }),
  "CA",
);
const leaf = makeSigner("Leaf", "ecdsa-sha256");

function certificate(serialNumber: number) {
  return parseCertificate(makeCertificate({ subject: leaf, issuer: ca, serialNumber }), "leaf");
}

function verified(changes: Partial<CrlOptions> = {}, now = TEST_NOW) {
  return verifyCrl(makeCrl({ issuer: ca, revoked: [7, 300], ...changes }), {
    issuer,
    now,
    what: "crl",
  });
}

const unusable = { name: "EvidenceError", code: "ERR_EVIDENCE_COLLATERAL", part: "crl" };

test("a certificate on the list is revoked, another is not", () => {
  const crl = verified();
  assert.deepEqual([...crl.revoked], ["07", "012c"]);
  checkNotRevoked(certificate(8), crl, "crl");
  assert.throws(() => checkNotRevoked(certificate(300), crl, "crl"), {
    code: "ERR_EVIDENCE_REVOKED",
    found: "012c",
  });
  assert.equal(verified({ revoked: [] }).revoked.size, 0);
});

test("a list of another issuer says nothing", () => {
  const other = makeSigner("Other", "ecdsa-sha256");
  assert.throws(() => verified({ issuer: other }), unusable);
  const foreign = parseCertificate(makeCertificate({ subject: leaf, issuer: other }), "leaf");
  assert.throws(() => checkNotRevoked(foreign, verified(), "crl"), unusable);
});

test("a signature of another key, or of an issuer that may not, is refused", () => {
  const impostor = makeSigner("CA", "ecdsa-sha256");
  assert.throws(() => verified({ issuer: impostor }), { code: "ERR_EVIDENCE_SIGNATURE" });
  for (const extensions of [[], [{ oid: "2.5.29.15", value: bits(Buffer.of(0x84), 2) }]]) {
    const weak = parseCertificate(makeCertificate({ subject: ca, issuer: ca, extensions }), "CA");
    assert.throws(
      () => verifyCrl(makeCrl({ issuer: ca }), { issuer: weak, now: TEST_NOW, what: "crl" }),
      unusable,
    );
  }
});

test("a list counts from its day to the next update", () => {
  const thisUpdate = TEST_NOW - 1000;
  const nextUpdate = TEST_NOW + 1000;
  for (const now of [thisUpdate, nextUpdate]) verified({ thisUpdate, nextUpdate }, now);
  for (const now of [thisUpdate - 1, nextUpdate + 1]) {
    assert.throws(() => verified({ thisUpdate, nextUpdate }, now), unusable);
  }
});

test("critical extensions of the list and of an entry are refused", () => {
  const plain: Extension = { oid: "2.5.29.20", value: nothing() };
  const critical = { ...plain, isCritical: true };
  const said = { ...plain, isCritical: false };
  verified({ extensions: [plain, said], entryExtensions: [said] });
  assert.throws(() => verified({ extensions: [plain, critical] }), unusable);
  assert.throws(() => verified({ entryExtensions: [critical] }), unusable);
});

test("another version, or two algorithms, are refused", () => {
  assert.throws(() => verified({ version: 0 }), unusable);
  assert.throws(() => verified({ innerAlgorithm: algorithmOf("ecdsa-sha384") }), unusable);
});

test("sizes are bounded, and nothing rides along", () => {
  const options = { issuer, now: TEST_NOW, what: "crl" };
  assert.throws(() => verifyCrl(Buffer.alloc(4_194_305), options), { code: "ERR_EVIDENCE_SIZE" });
  const malformed = { code: "ERR_EVIDENCE_FORMAT" };
  const good = makeCrl({ issuer: ca });
  assert.throws(() => verifyCrl(Buffer.concat([good, nothing()]), options), malformed);
  const list = new DerReader(good, "crl").enter(0x30);
  const parts = [list.any(), list.any(), list.any()].map(({ encoded }) => encoded);
  assert.throws(() => verifyCrl(sequence(...parts, nothing()), options), malformed);
  const day = TEST_NOW;
  for (const more of [
    [nothing()],
    [sequence(sequence(integer(1), time(day), sequence(), nothing()))],
  ]) {
    const body = sequence(
      integer(1),
      algorithmOf(ca.scheme),
      commonName("CA"),
      time(day),
      time(day),
      ...more,
    );
    assert.throws(() => verifyCrl(sequence(body, ...parts.slice(1)), options), malformed);
  }
  assert.throws(() => verifyCrl(octets(good), options), malformed);
});
