import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { authenticationOptions, registrationOptions } from "./options.ts";

const handle = Buffer.alloc(32, 1);
const challenge = Buffer.alloc(32, 2);
const given = {
  rp: { id: "login.test", name: "Test" },
  person: { handle, name: "ada", displayName: "Ada" },
  challenge,
  existing: ["AQI"],
  attestation: "none",
} as const;

describe("registrationOptions", () => {
  it("asks for a discoverable passkey with verification, by our own list of algorithms (THREAT-18)", () => {
    assert.deepEqual(registrationOptions(given), {
      rp: { id: "login.test", name: "Test" },
      user: { id: handle.toString("base64url"), name: "ada", displayName: "Ada" },
      challenge: challenge.toString("base64url"),
      pubKeyCredParams: [
        { alg: -7, type: "public-key" },
        { alg: -8, type: "public-key" },
        { alg: -257, type: "public-key" },
      ],
      timeout: 300_000,
      excludeCredentials: [{ id: "AQI", type: "public-key" }],
      authenticatorSelection: {
        residentKey: "required",
        requireResidentKey: true,
        userVerification: "required",
      },
      attestation: "none",
    });
    assert.equal(registrationOptions({ ...given, attestation: "direct" }).attestation, "direct");
  });

  it("takes 32 bytes and no others", () => {
    for (const length of [0, 31, 33]) {
      const bytes = Buffer.alloc(length);
      assert.throws(() => registrationOptions({ ...given, challenge: bytes }), RangeError);
      const person = { ...given.person, handle: bytes };
      assert.throws(() => registrationOptions({ ...given, person }), RangeError);
      assert.throws(
        () => authenticationOptions({ rpId: "login.test", challenge: bytes }),
        RangeError,
      );
    }
  });
});

describe("authenticationOptions", () => {
  it("names no credential, so it cannot tell who exists, and requires verification (THREAT-18)", () => {
    assert.deepEqual(authenticationOptions({ rpId: "login.test", challenge }), {
      rpId: "login.test",
      challenge: challenge.toString("base64url"),
      timeout: 300_000,
      allowCredentials: [],
      userVerification: "required",
    });
  });
});
