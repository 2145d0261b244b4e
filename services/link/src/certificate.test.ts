import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { NO_OPENSSL } from "@redoubt/testkit";
import { makeCertificate, pinOf } from "./certificate.ts";

const folder = mkdtempSync(join(tmpdir(), "redoubt-link-certificate-"));
after(() => rmSync(folder, { recursive: true }));

const KEYS = {
  Ed25519: () => generateKeyPairSync("ed25519"),
  "P-256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
} as const;

for (const [name, make] of Object.entries(KEYS))
  describe(`a link's own certificate with ${name}`, () => {
    const { privateKey, publicKey } = make();
    const text = makeCertificate(privateKey);
    const certificate = new X509Certificate(text);

    it("is of its key, by its key, and without an end", () => {
      assert.equal(certificate.checkPrivateKey(privateKey), true);
      assert.equal(certificate.verify(publicKey), true);
      assert.equal(certificate.subject, "CN=redoubt link");
      assert.equal(certificate.issuer, certificate.subject);
      assert.equal(certificate.validFromDate.toISOString(), "2020-01-01T00:00:00.000Z");
      assert.equal(certificate.validToDate.toISOString(), "9999-12-31T23:59:59.000Z");
    });

    it("has the pin of its key, whatever else it says", () => {
      const spki = publicKey.export({ type: "spki", format: "der" });
      const pin = createHash("sha256").update(spki).digest("base64url");
      assert.equal(pinOf(certificate), pin);
      const again = new X509Certificate(makeCertificate(privateKey));
      assert.equal(pinOf(again), pin);
      assert.notEqual(again.serialNumber, certificate.serialNumber);
      assert.match(certificate.serialNumber, /^[4-7][0-9A-F]{31}$/);
    });

    it("is one to OpenSSL, too", { skip: NO_OPENSSL }, () => {
      const file = join(folder, `${name}.pem`);
      writeFileSync(file, text);
      const shown = execFileSync("openssl", ["x509", "-in", file, "-noout", "-text"]).toString();
      assert.match(shown, /Version: 3 \(0x2\)/);
      const verified = execFileSync("openssl", ["verify", "-check_ss_sig", "-CAfile", file, file]);
      assert.match(verified.toString(), /: OK/);
    });
  });

it("a link has no key of another kind", () => {
  for (const { privateKey } of [
    generateKeyPairSync("ec", { namedCurve: "P-384" }),
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
    generateKeyPairSync("x25519"),
  ])
    assert.throws(() => makeCertificate(privateKey), { code: "ERR_LINK_KEY" });
});
