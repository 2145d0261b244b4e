import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SOFT_AAGUID } from "@redoubt/testkit";
import { PasskeyError } from "./passkey-error.ts";
import {
  EXPECTED,
  HANDLE,
  metadataWith,
  OPEN_POLICY,
  ORIGIN,
  register,
  SHARED_REFUSALS,
  signIn,
  softKey,
  VENDOR_POLICY,
} from "./testing/ceremony.ts";
import { verifySignIn } from "./verify-sign-in.ts";

const SYNCED = { backupEligible: true, backedUp: true, counter: "zero" } as const;

describe("verifySignIn", () => {
  for (const alg of ["ES256", "EdDSA", "RS256"] as const)
    it(`${alg}: gives the counter and the backup state of now`, async () => {
      const key = softKey({ alg });
      const passkey = await register(key);
      const expected = { counter: 2, backedUp: false, counterStood: false };
      assert.deepEqual(await signIn(key, passkey), expected);
    });

  it("a synced passkey that never counts is quiet, and its backup state may change", async () => {
    const key = softKey(SYNCED);
    const passkey = await register(key);
    const quiet = { counter: 0, backedUp: true, counterStood: false };
    assert.deepEqual(await signIn(key, passkey), quiet);
    const lost = await signIn(key, passkey, { overrides: { flags: { BS: false } } });
    assert.deepEqual(lost, { ...quiet, backedUp: false });
  });

  it("no crossOrigin at all, as older browsers, is none", async () => {
    const key = softKey();
    await signIn(key, await register(key), { overrides: { crossOrigin: undefined } });
  });
});

describe("verifySignIn: each single thing that must fail (THREAT-18, THREAT-20)", () => {
  const others: typeof SHARED_REFUSALS = [
    ["a registration", { type: "webauthn.create" }, "ERR_PASSKEY_TYPE"],
    ["flipped signature", { signature: "flip" }, "ERR_PASSKEY_SIGNATURE"],
    ["signature of other bytes", { signature: Buffer.alloc(71, 0x30) }, "ERR_PASSKEY_SIGNATURE"],
    ["no signature", { signature: Buffer.alloc(0) }, "ERR_PASSKEY_FORM"],
    [
      "another owner",
      { userHandle: Buffer.alloc(32, 6).toString("base64url") },
      "ERR_PASSKEY_OWNER",
    ],
    [
      "a handle cut off",
      { userHandle: Buffer.alloc(31, 7).toString("base64url") },
      "ERR_PASSKEY_OWNER",
    ],
    ["no owner", { userHandle: null }, "ERR_PASSKEY_FORM"],
    ["empty owner", { userHandle: "" }, "ERR_PASSKEY_FORM"],
    ["eligible for backup, unlike before", { flags: { BE: true } }, "ERR_PASSKEY_BACKUP"],
  ];
  for (const [what, overrides, code] of [...SHARED_REFUSALS, ...others])
    it(`${what}: ${code}`, async () => {
      const key = softKey();
      const passkey = await register(key);
      await assert.rejects(signIn(key, passkey, { overrides }), { code });
      await signIn(key, passkey);
    });

  it("eligible for backup when registered, and no longer", async () => {
    const key = softKey({ backupEligible: true });
    const passkey = await register(key);
    await assert.rejects(signIn(key, passkey, { overrides: { flags: { BE: false } } }), {
      code: "ERR_PASSKEY_BACKUP",
    });
  });

  it("signed by another key that claims the credential", async () => {
    const key = softKey();
    const thief = softKey();
    const passkey = await register(key);
    await register(thief);
    await assert.rejects(
      signIn(thief, passkey, { overrides: { credentialId: key.credentialId } }),
      {
        code: "ERR_PASSKEY_SIGNATURE",
      },
    );
  });
});

describe("verifySignIn: counter", () => {
  const rows: readonly (readonly [number, number, "risen" | "stood"])[] = [
    [0, 0, "risen"],
    [0, 1, "risen"],
    [5, 6, "risen"],
    [5, 5, "stood"],
    [5, 4, "stood"],
    [5, 0, "stood"],
  ];
  for (const [stored, counter, result] of rows) {
    it(`bound to its device, ${stored} then ${counter}: ${result}`, async () => {
      const key = softKey();
      const passkey = { ...(await register(key)), counter: stored };
      const trial = signIn(key, passkey, { overrides: { counter } });
      if (result === "stood") await assert.rejects(trial, { code: "ERR_PASSKEY_COUNTER" });
      else assert.deepEqual(await trial, { counter, backedUp: false, counterStood: false });
    });
    it(`synced, ${stored} then ${counter}: accepted, and ${result} is said`, async () => {
      const key = softKey({ backupEligible: true });
      const passkey = { ...(await register(key)), counter: stored };
      const { counterStood, counter: kept } = await signIn(key, passkey, {
        overrides: { counter },
      });
      assert.deepEqual([counterStood, kept], [result === "stood", Math.max(stored, counter)]);
    });
  }

  it("a false counter with a false signature is a false signature", async () => {
    const key = softKey();
    const passkey = { ...(await register(key)), counter: 9 };
    const overrides = { counter: 1, signature: "flip" } as const;
    await assert.rejects(signIn(key, passkey, { overrides }), { code: "ERR_PASSKEY_SIGNATURE" });
  });
});

describe("verifySignIn: policy of now (THREAT-18)", () => {
  it("refuses a model that was denied, or is no longer allowed, since it was registered", async () => {
    const key = softKey({ attestation: "x5c" });
    const passkey = await register(key, { policy: VENDOR_POLICY });
    await signIn(key, passkey, { policy: { ...OPEN_POLICY, allowAaguids: [SOFT_AAGUID] } });
    for (const change of [{ denyAaguids: [SOFT_AAGUID] }, { allowAaguids: [] }])
      // One after the other, so that a failure names its case.
      // oxlint-disable-next-line no-await-in-loop
      await assert.rejects(signIn(key, passkey, { policy: { ...OPEN_POLICY, ...change } }), {
        code: "ERR_PASSKEY_MODEL",
      });
  });

  it("refuses a model whose status changed since it was registered", async () => {
    const key = softKey({ attestation: "x5c" });
    const passkey = await register(key, { metadata: metadataWith("FIDO_CERTIFIED_L1") });
    await signIn(key, passkey, { metadata: metadataWith("FIDO_CERTIFIED_L1", "UPDATE_AVAILABLE") });
    const metadata = metadataWith("FIDO_CERTIFIED_L1", "REVOKED");
    await assert.rejects(signIn(key, passkey, { metadata }), { code: "ERR_PASSKEY_MODEL_STATUS" });
  });

  it("refuses synced and unattested passkeys once they are no longer wanted", async () => {
    const key = softKey(SYNCED);
    const passkey = await register(key);
    await assert.rejects(signIn(key, passkey, { policy: { ...OPEN_POLICY, synced: "refused" } }), {
      code: "ERR_PASSKEY_SYNCED",
    });
    await assert.rejects(
      signIn(key, passkey, { policy: { ...OPEN_POLICY, attestation: "required" } }),
      {
        code: "ERR_PASSKEY_UNATTESTED",
      },
    );
  });
});

describe("verifySignIn: form (THREAT-26)", () => {
  it("never throws anything but its own error", async () => {
    const key = softKey();
    const passkey = await register(key);
    const base = key.authenticate({ challenge: EXPECTED.challenge }, { origin: ORIGIN });
    const refuse = async (response: unknown): Promise<void> => {
      const given = { expected: EXPECTED, passkey, personHandle: HANDLE };
      const trial = verifySignIn({ ...given, response, policy: OPEN_POLICY, metadata: null });
      await assert.rejects(trial, PasskeyError);
    };
    await fc.assert(fc.asyncProperty(fc.anything(), refuse));
    const names = fc.constantFrom("clientDataJSON", "authenticatorData", "signature", "userHandle");
    await fc.assert(
      fc.asyncProperty(names, fc.uint8Array({ maxLength: 200 }), async (name, bytes) => {
        const text = Buffer.from(bytes).toString("base64url");
        await refuse({ ...base, response: { ...base.response, [name]: text } });
      }),
    );
    await fc.assert(
      fc.asyncProperty(names, fc.anything(), async (name, value) => {
        await refuse({ ...base, response: { ...base.response, [name]: value } });
      }),
    );
  });

  it("bounds each part", async () => {
    const key = softKey();
    const passkey = await register(key);
    const base = key.authenticate({ challenge: EXPECTED.challenge }, { origin: ORIGIN });
    const bounds = {
      clientDataJSON: 4096,
      authenticatorData: 4096,
      signature: 1024,
      userHandle: 64,
    };
    for (const [name, bytes] of Object.entries(bounds)) {
      const text = Buffer.alloc(bytes + 1).toString("base64url");
      const response = { ...base, response: { ...base.response, [name]: text } };
      const given = { expected: EXPECTED, passkey, personHandle: HANDLE, metadata: null };
      // One after the other, so that a failure names its case.
      // oxlint-disable-next-line no-await-in-loop
      await assert.rejects(verifySignIn({ ...given, response, policy: OPEN_POLICY }), {
        code: "ERR_PASSKEY_FORM",
        message: new RegExp(name),
      });
    }
  });
});
