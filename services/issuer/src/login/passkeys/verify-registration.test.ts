import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AttestationAuthority, SOFT_AAGUID, type SoftRegistration } from "@redoubt/testkit";
import type { Passkey } from "./passkey.ts";
import { PasskeyError } from "./passkey-error.ts";
import {
  answerOf,
  certificateOf,
  check,
  metadataWith,
  OPEN_POLICY,
  register,
  SHARED_REFUSALS,
  softKey,
  VENDOR_POLICY,
} from "./testing/ceremony.ts";

const YUBIKEY = "cb69481e-8ff7-4039-93ec-0a2729a154a8";

function changed(inner: object, outer: object = {}): unknown {
  const base = answerOf(softKey());
  return { ...base, response: { ...base.response, ...inner }, ...outer };
}

async function onlyOurs(response: unknown): Promise<void> {
  await assert.rejects(check(response, { policy: VENDOR_POLICY }), (error) => {
    assert.ok(error instanceof PasskeyError);
    assert.match(error.code, /^ERR_PASSKEY_/);
    assert.equal(error.cause, undefined);
    return true;
  });
}

function withAttestation(base: SoftRegistration, bytes: Buffer): SoftRegistration {
  const attestationObject = bytes.toString("base64url");
  return { ...base, response: { ...base.response, attestationObject } };
}

/** The library reads the DER around an ECDSA signature leniently, so a few bytes there change nothing. */
async function refusedOrSame(response: unknown, genuine: Passkey): Promise<void> {
  try {
    assert.deepEqual(await check(response, { policy: VENDOR_POLICY }), genuine);
  } catch (error) {
    assert.ok(error instanceof PasskeyError);
  }
}

describe("verifyRegistration: what is recorded", () => {
  for (const alg of ["ES256", "EdDSA", "RS256"] as const)
    it(`${alg} without attestation: the model is nobody's word`, async () => {
      const key = softKey({ alg });
      const passkey = await register(key);
      assert.deepEqual(passkey, {
        credentialId: key.credentialId,
        publicKey: new Uint8Array(key.publicKey),
        algorithm: alg,
        counter: 1,
        trust: "none",
        format: "none",
        aaguid: undefined,
        backupEligible: false,
        backedUp: false,
        transports: ["internal"],
      });
      assert.equal(Object.isFrozen(passkey) && Object.isFrozen(passkey.transports), true);
    });

  for (const [backupEligible, backedUp] of [
    [false, false],
    [true, false],
    [true, true],
  ] as const)
    it(`backup bits ${String(backupEligible)}, ${String(backedUp)}`, async () => {
      const passkey = await register(softKey({ backupEligible, backedUp }));
      assert.deepEqual([passkey.backupEligible, passkey.backedUp], [backupEligible, backedUp]);
    });

  it("no crossOrigin at all, as older browsers, is none", async () => {
    await register(softKey(), { overrides: { crossOrigin: undefined } });
  });
});

describe("verifyRegistration: trust (THREAT-18)", () => {
  it("fmt none with a false AAGUID: none, and no model", async () => {
    const { trust, aaguid } = await register(softKey({ aaguid: YUBIKEY }), {
      metadata: metadataWith(),
    });
    assert.deepEqual([trust, aaguid], ["none", undefined]);
  });

  for (const alg of ["ES256", "EdDSA", "RS256"] as const)
    it(`self attestation by ${alg} with an AAGUID whose roots are known: self, and no model`, async () => {
      const circumstances = { policy: VENDOR_POLICY, metadata: metadataWith() };
      const { trust, aaguid, format } = await register(
        softKey({ alg, attestation: "self" }),
        circumstances,
      );
      assert.deepEqual([trust, aaguid, format], ["self", undefined, "packed"]);
    });

  it("x5c without any root: unverified, and no model", async () => {
    const { trust, aaguid } = await register(softKey({ attestation: "x5c" }));
    assert.deepEqual([trust, aaguid], ["unverified", undefined]);
  });

  it("x5c with roots known for another model only: unverified", async () => {
    const key = softKey({ attestation: "x5c", aaguid: YUBIKEY });
    const { trust, aaguid } = await register(key, { policy: VENDOR_POLICY });
    assert.deepEqual([trust, aaguid], ["unverified", undefined]);
  });

  for (const sendsRoot of [false, true])
    it(`x5c to the policy's root, and to that of the metadata; root ${sendsRoot ? "" : "not "}sent`, async () => {
      for (const circumstances of [{ policy: VENDOR_POLICY }, { metadata: metadataWith() }]) {
        // One after the other, so that a failure names its case.
        // oxlint-disable-next-line no-await-in-loop
        const { trust, aaguid } = await register(
          softKey({ attestation: "x5c", sendsRoot }),
          circumstances,
        );
        assert.deepEqual([trust, aaguid], ["chain", SOFT_AAGUID]);
      }
    });

  for (const sendsRoot of [false, true])
    it(`x5c of an attacker's own root, ${sendsRoot ? "" : "not "}sent along: refused`, async () => {
      const key = softKey({ attestation: "x5c", authority: new AttestationAuthority(), sendsRoot });
      await assert.rejects(register(key, { policy: VENDOR_POLICY }), { code: "ERR_PASSKEY_CHAIN" });
    });

  it("x5c of another root of the same name: refused", async () => {
    const twin = certificateOf(new AttestationAuthority());
    const policy = { ...OPEN_POLICY, roots: new Map([[SOFT_AAGUID, [twin]]]) };
    await assert.rejects(register(softKey({ attestation: "x5c" }), { policy }), {
      code: "ERR_PASSKEY_CHAIN",
    });
  });

  it("x5c whose certificate names another model: refused", async () => {
    const key = softKey({ attestation: "x5c", certifiedAaguid: YUBIKEY });
    await assert.rejects(register(key, { policy: VENDOR_POLICY }), {
      code: "ERR_PASSKEY_ATTESTATION",
    });
  });

  it("x5c whose certificate names no model: unverified, for a root may serve many", async () => {
    const key = softKey({ attestation: "x5c", certifiedAaguid: null });
    const { trust, aaguid } = await register(key, { policy: VENDOR_POLICY });
    assert.deepEqual([trust, aaguid], ["unverified", undefined]);
  });

  it("an AAGUID of zero names no model, even where roots are named for it", async () => {
    const zero = "00000000-0000-0000-0000-000000000000";
    const roots = new Map([[zero, [...(VENDOR_POLICY.roots.get(SOFT_AAGUID) ?? [])]]]);
    const key = softKey({ attestation: "x5c", aaguid: zero });
    const { trust, aaguid } = await register(key, { policy: { ...OPEN_POLICY, roots } });
    assert.deepEqual([trust, aaguid], ["unverified", undefined]);
  });

  it("a model that was swapped after the certificate was made: refused", async () => {
    const overrides = { aaguid: YUBIKEY };
    const key = softKey({ attestation: "x5c" });
    await assert.rejects(register(key, { policy: VENDOR_POLICY, overrides }), {
      code: "ERR_PASSKEY_ATTESTATION",
    });
  });
});

describe("verifyRegistration: each single thing that must fail (THREAT-18, THREAT-20)", () => {
  for (const [what, overrides, code] of SHARED_REFUSALS)
    it(`${what}: ${code}`, async () => {
      for (const attestation of ["none", "self", "x5c"] as const)
        // One after the other, so that a failure names its case.
        // oxlint-disable-next-line no-await-in-loop
        await assert.rejects(
          register(softKey({ attestation }), { overrides, policy: VENDOR_POLICY }),
          {
            code,
          },
        );
    });

  it("the rows above cover each code that both ceremonies share", () => {
    const codes = new Set(SHARED_REFUSALS.map(([, , code]) => code));
    assert.deepEqual([...codes].toSorted(), [
      "ERR_PASSKEY_BACKUP",
      "ERR_PASSKEY_CHALLENGE",
      "ERR_PASSKEY_CREDENTIAL",
      "ERR_PASSKEY_CROSS_ORIGIN",
      "ERR_PASSKEY_ORIGIN",
      "ERR_PASSKEY_RP",
      "ERR_PASSKEY_TYPE",
      "ERR_PASSKEY_USER_PRESENCE",
      "ERR_PASSKEY_USER_VERIFICATION",
    ]);
  });

  it("an answer to a sign-in is no registration", async () => {
    await assert.rejects(register(softKey(), { overrides: { type: "webauthn.get" } }), {
      code: "ERR_PASSKEY_TYPE",
    });
  });

  for (const attestation of ["self", "x5c"] as const)
    it(`broken signature, ${attestation}`, async () => {
      for (const signature of ["flip", Buffer.alloc(70, 1), Buffer.alloc(0)] as const)
        // One after the other, so that a failure names its case.
        // oxlint-disable-next-line no-await-in-loop
        await assert.rejects(register(softKey({ attestation }), { overrides: { signature } }), {
          code: "ERR_PASSKEY_ATTESTATION",
        });
    });

  it("formats that the library would verify by roots of its own", async () => {
    const base = Buffer.from(answerOf(softKey()).response.attestationObject, "base64url");
    const from = Buffer.from("646e6f6e65", "hex");
    assert.notEqual(base.indexOf(from), -1);
    for (const name of [
      "apple",
      "tpm",
      "android-key",
      "android-safetynet",
      "fido-u2f",
      "compound",
    ]) {
      const to = Buffer.concat([Buffer.of(0x60 + name.length), Buffer.from(name)]);
      const at = base.indexOf(from);
      const made = Buffer.concat([base.subarray(0, at), to, base.subarray(at + from.length)]);
      const response = changed({ attestationObject: made.toString("base64url") });
      // One after the other, so that a failure names its case.
      // oxlint-disable-next-line no-await-in-loop
      await assert.rejects(check(response), { code: "ERR_PASSKEY_FORMAT" });
    }
  });
});

describe("verifyRegistration: form (THREAT-26)", () => {
  it("ignores members that browsers add, and passes them to nobody", async () => {
    const extra = { publicKey: 7, publicKeyAlgorithm: "x", authenticatorData: {} };
    const outer = { authenticatorAttachment: 1, clientExtensionResults: "x", more: true };
    await check({ ...answerOf(softKey()), ...outer });
    const base = answerOf(softKey());
    await check({ ...base, ...outer, response: { ...base.response, ...extra } });
  });

  it("bounds every part, and takes one type of each", async () => {
    const wrong: readonly unknown[] = [
      null,
      "x",
      [],
      {},
      changed({}, { id: "" }),
      changed({}, { id: "AA", rawId: "AB" }),
      changed({}, { id: "A".repeat(1366), rawId: "A".repeat(1366) }),
      changed({}, { id: "*", rawId: "*" }),
      changed({}, { type: "password" }),
      changed({}, { response: null }),
      changed({ clientDataJSON: 1 }),
      changed({ clientDataJSON: "e30=" }),
      changed({ clientDataJSON: "A".repeat(5600) }),
      changed({ clientDataJSON: Buffer.from('{"type":1,"type":2}').toString("base64url") }),
      changed({ attestationObject: "" }),
      changed({ attestationObject: "A".repeat(43_700) }),
      changed({ attestationObject: Buffer.alloc(20_000, 0x81).toString("base64url") }),
      changed({ transports: "usb" }),
      changed({ transports: Array.from({ length: 9 }, () => "usb") }),
      changed({ transports: ["U SB"] }),
      changed({ transports: [1] }),
    ];
    for (const response of wrong)
      // One after the other, so that a failure names its case.
      // oxlint-disable-next-line no-await-in-loop
      await assert.rejects(check(response), { name: "PasskeyError", code: "ERR_PASSKEY_FORM" });
  });

  it("takes transports up to the bound, known to us or not, and none at all", async () => {
    const eight = Array.from({ length: 8 }, () => "smart-card");
    const base = answerOf(softKey());
    const passkey = await check({ ...base, response: { ...base.response, transports: eight } });
    assert.deepEqual(passkey.transports, eight);
    const { transports: _, ...rest } = base.response;
    assert.deepEqual((await check({ ...base, response: rest })).transports, []);
  });

  it("never throws anything but its own error: any value", async () => {
    await fc.assert(fc.asyncProperty(fc.anything(), onlyOurs));
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.constantFrom("clientDataJSON", "attestationObject", "transports"),
          fc.anything(),
        ),
        async (inner) => {
          const outer = { id: "AA", rawId: "AA", type: "public-key" };
          await onlyOurs({ ...outer, response: inner });
        },
      ),
    );
  });

  it("never throws anything but its own error: any bytes as attestation and as client data", async () => {
    const base = answerOf(softKey());
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom("clientDataJSON", "attestationObject"),
        async (bytes, name) => {
          const text = Buffer.from(bytes).toString("base64url");
          await onlyOurs({ ...base, response: { ...base.response, [name]: text } });
        },
      ),
    );
  });

  it("one byte changed anywhere, or any cut: refused by its own error, or the same passkey", async () => {
    const key = softKey({ attestation: "x5c" });
    const base = answerOf(key);
    const genuine = await check(base, { policy: VENDOR_POLICY });
    const whole = Buffer.from(base.response.attestationObject, "base64url");
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, by) => {
          const bytes = Buffer.from(whole);
          bytes.writeUInt8(bytes.readUInt8(at) ^ by, at);
          await refusedOrSame(withAttestation(base, bytes), genuine);
          await onlyOurs(withAttestation(base, whole.subarray(0, at)));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("the WebAuthn library", () => {
  it("prints nothing when it is loaded and used", () => {
    const script =
      'import("@simplewebauthn/server").then(async (m) => m.verifyRegistrationResponse({ response: { id: "AA", rawId: "AA", type: "public-key", response: {} }, expectedChallenge: "", expectedOrigin: "", supportedAlgorithmIDs: [-7] }).catch(() => 0))';
    const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script], {
      cwd: import.meta.dirname,
      encoding: "utf8",
      timeout: 30_000,
    });
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
  });
});
