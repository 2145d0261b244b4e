import assert from "node:assert/strict";
import { createHash, createPublicKey, verify, X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import { SoftAuthenticator, type SoftAssertion } from "./soft-authenticator.ts";
import { AttestationAuthority } from "./webauthn/attestation-authority.ts";
import { cbor } from "./webauthn/cbor-writer.ts";

const origin = "https://login.test";
const creation = {
  challenge: "Y2hhbGxlbmdl",
  user: { id: "aGFuZGxl" },
  pubKeyCredParams: [{ alg: -7 }, { alg: -8 }, { alg: -257 }],
};

function authDataOf({ response }: SoftAssertion): Buffer {
  return Buffer.from(response.authenticatorData, "base64url");
}

describe("SoftAuthenticator", () => {
  it("signs what WebAuthn §6.3.3 says, and answers with the handle it was registered with", () => {
    const key = new SoftAuthenticator({ rpId: "login.test" });
    const { id } = key.register(creation, { origin });
    const assertion = key.authenticate({ challenge: "bmV4dA" }, { origin });
    const authData = authDataOf(assertion);
    const clientData = Buffer.from(assertion.response.clientDataJSON, "base64url");
    const signed = Buffer.concat([authData, createHash("sha256").update(clientData).digest()]);
    // The coordinates stand behind their heads of three bytes at the end of the COSE key.
    const cose = key.publicKey;
    const [x, y] = [cose.subarray(-67, -35), cose.subarray(-32)];
    const jwk = { kty: "EC", crv: "P-256", x: x.toString("base64url"), y: y.toString("base64url") };
    const publicKey = createPublicKey({ key: jwk, format: "jwk" });
    const signature = Buffer.from(assertion.response.signature, "base64url");
    assert.equal(verify("sha256", signed, publicKey, signature), true);
    assert.equal(assertion.id, id);
    assert.equal(assertion.id, key.credentialId);
    assert.equal(assertion.response.userHandle, "aGFuZGxl");
    assert.equal(authData.readUInt8(32), 0x05);
    assert.equal(authData.readUInt32BE(33), 2);
  });

  it("breaks what it is told to break, and that alone", () => {
    const key = new SoftAuthenticator({ rpId: "login.test", counter: "zero" });
    const asked = { challenge: "bmV4dA" };
    const plain = authDataOf(key.authenticate(asked, { origin }));
    const overrides = { flags: { UV: false, BE: true }, counter: 7, userHandle: null };
    const broken = key.authenticate(asked, { origin, overrides });
    assert.equal(plain.readUInt32BE(33), 0);
    assert.equal(authDataOf(broken).readUInt8(32), 0x09);
    assert.equal(authDataOf(broken).readUInt32BE(33), 7);
    assert.equal("userHandle" in broken.response, false);
    assert.deepEqual(authDataOf(broken).subarray(0, 32), plain.subarray(0, 32));
  });

  it("fails where its algorithm is not offered", () => {
    const key = new SoftAuthenticator({ rpId: "login.test", alg: "EdDSA" });
    const offer = { ...creation, pubKeyCredParams: [{ alg: -7 }] };
    assert.throws(() => key.register(offer, { origin }), RangeError);
  });
});

describe("AttestationAuthority", () => {
  it("makes certificates that OpenSSL reads and verifies", () => {
    const authority = new AttestationAuthority();
    const root = new X509Certificate(authority.certificate);
    const [encoded = Buffer.alloc(0)] = authority.leaf({ aaguid: null }).x5c;
    const leaf = new X509Certificate(encoded);
    assert.equal(root.ca, true);
    assert.equal(leaf.ca, false);
    assert.equal(leaf.checkIssued(root) && leaf.verify(root.publicKey), true);
    assert.match(
      leaf.subject,
      /^C=SE\nO=Test vendor\nOU=Authenticator Attestation\nCN=Test model$/,
    );
    assert.equal(
      leaf.verify(new X509Certificate(new AttestationAuthority().certificate).publicKey),
      false,
    );
  });
});

describe("cbor", () => {
  it("writes the examples of RFC 8949 appendix A", () => {
    const examples: readonly (readonly [Parameters<typeof cbor>[0], string])[] = [
      [23, "17"],
      [24, "1818"],
      [1000, "1903e8"],
      [-1, "20"],
      [-100, "3863"],
      [Buffer.of(1, 2, 3, 4), "4401020304"],
      ["IETF", "6449455446"],
      [[1, [2, 3]], "8201820203"],
      [
        new Map([
          [1, 2],
          [3, 4],
        ]),
        "a201020304",
      ],
    ];
    for (const [item, hex] of examples) assert.equal(cbor(item).toString("hex"), hex);
    assert.throws(() => cbor(65_536), RangeError);
  });
});
