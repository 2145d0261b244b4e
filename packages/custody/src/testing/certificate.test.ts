import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import { makeCertificate } from "./certificate.ts";

describe("a certificate of the tests", () => {
  it("is its own authority, for one name and one key", () => {
    const { certificate, key } = makeCertificate("kms.example");
    const read = new X509Certificate(certificate);
    assert.equal(read.verify(read.publicKey), true);
    assert.equal(read.ca, true);
    assert.equal(read.checkPrivateKey(createPrivateKey(key)), true);
    assert.equal(read.checkHost("kms.example"), "kms.example");
    assert.equal(read.checkHost("other.example"), undefined);
    const other = new X509Certificate(makeCertificate("kms.example").certificate);
    assert.equal(read.verify(other.publicKey), false);
    assert.notEqual(read.serialNumber, other.serialNumber);
  });
});
