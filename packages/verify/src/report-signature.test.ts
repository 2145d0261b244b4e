import assert from "node:assert/strict";
import { createPublicKey, sign, verify } from "node:crypto";
import { describe, it } from "node:test";
import { reporterKey, signatureBase, signedHeaders } from "./report-signature.ts";

// RFC 9421 §B.1.4, test-key-ed25519.
const SECRET = "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU";
const PUBLIC = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";
const key = reporterKey(SECRET);

describe("signatureBase()", () => {
  it("RFC 9421 §B.2.6: the base, the input and the signature of the specification", () => {
    const { base, input } = signatureBase(
      {
        date: "Tue, 20 Apr 2021 02:07:55 GMT",
        "@method": "POST",
        "@path": "/foo",
        "@authority": "example.com",
        "content-type": "application/json",
        "content-length": "18",
      },
      ';created=1618884473;keyid="test-key-ed25519"',
    );
    const expected =
      '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"';
    assert.equal(input, expected);
    assert.equal(
      base.toString("utf8"),
      [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        `"@signature-params": ${expected}`,
      ].join("\n"),
    );
    assert.equal(
      sign(null, base, key).toString("base64"),
      "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    );
  });
});

describe("reporterKey()", () => {
  it("RFC 9421 §B.1.4: the secret is the seed of the key", () => {
    assert.equal(createPublicKey(key).export({ format: "jwk" }).x, PUBLIC);
  });

  it("takes 32 bytes in their one spelling, says where they come from, and never what came", () => {
    const texts = ["", "secret of shop", `${SECRET}A`, `${SECRET}\n`, SECRET.slice(1)];
    for (const text of [...texts, `${SECRET}=`, SECRET.replace("-", "+"), `${SECRET.slice(1)}V`])
      assert.throws(
        () => reporterKey(text),
        (error) =>
          error instanceof TypeError &&
          error.message.includes("`redoubt reporters add`") &&
          (text === "" || !error.message.includes(text)),
        text,
      );
  });
});

describe("signedHeaders()", () => {
  const nowMs = 1_764_000_000_999;
  const headers = signedHeaders({ reporter: "orders-1", key }, "/reports", '{"v":1}', nowMs);

  it("is the form of docs/spec/reports.md §1, to the letter", () => {
    const { signature = "", ...covered } = headers;
    const input =
      '("@method" "@path" "content-type" "content-digest");created=1764000000;keyid="orders-1";alg="ed25519";tag="redoubt-report"';
    // SHA-256 of {"v":1}, by another program.
    const digest = "sha-256=:r7+dDzVgsP13legcQqCnnua2/GfgZPd4Jq7mQsrSjZE=:";
    assert.deepEqual(covered, {
      "content-type": "application/json",
      "content-digest": digest,
      "signature-input": `sig1=${input}`,
    });
    const base = [
      '"@method": POST',
      '"@path": /reports',
      '"content-type": application/json',
      `"content-digest": ${digest}`,
      `"@signature-params": ${input}`,
    ].join("\n");
    const [, text = ""] = /^sig1=:(.*):$/.exec(signature) ?? [];
    const bytes = Buffer.from(text, "base64");
    assert.equal(verify(null, Buffer.from(base), createPublicKey(key), bytes), true);
    // Ed25519 has one signature for a message: computed with pyca/cryptography.
    assert.equal(
      text,
      "/rW8DRNhxOrsl0iD77bDQQTr8a9OmcHyGSn9/xs00fpgqT0VL8wqM2BRzxA0fHSdSFCsNu42ovN9WeG7PHFMBw==",
    );
  });

  it("holds no secret, and a text is signed as its bytes are", () => {
    assert.equal(JSON.stringify(headers).includes(SECRET), false);
    const bytes = Buffer.from('{"v":1}');
    const signer = { reporter: "orders-1", key };
    assert.deepEqual(signedHeaders(signer, "/reports", bytes, nowMs), headers);
  });
});
