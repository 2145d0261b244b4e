import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import { SOFT_AAGUID } from "@redoubt/testkit";
import type { JsonObject } from "@redoubt/verify/json";
import type { Passkey } from "./passkey.ts";
import { checkPasskeyPolicy } from "./policy.ts";
import { readPasskeyPolicy } from "./read-policy.ts";
import {
  metadataWith,
  OPEN_POLICY,
  register,
  softKey,
  VENDOR,
  VENDOR_POLICY,
  VENDOR_ROOT,
} from "./testing/ceremony.ts";
import { TIER_CLAIMS, tierOf } from "./tier.ts";

const OTHER = "cb69481e-8ff7-4039-93ec-0a2729a154a8";
const REQUIRED = { ...VENDOR_POLICY, attestation: "required" } as const;
const CHAINED = { trust: "chain", aaguid: SOFT_AAGUID, backupEligible: false } as const;
const UNTRUSTED: readonly Passkey["trust"][] = ["self", "none", "unverified"];

describe("checkPasskeyPolicy (THREAT-18)", () => {
  it("takes a proven model under every list that names it, and none that denies it", () => {
    checkPasskeyPolicy(
      CHAINED,
      { ...REQUIRED, allowAaguids: [SOFT_AAGUID], denyAaguids: [OTHER] },
      metadataWith(),
    );
    for (const change of [
      { allowAaguids: [OTHER] },
      { allowAaguids: [] },
      { denyAaguids: [SOFT_AAGUID] },
    ])
      assert.throws(() => checkPasskeyPolicy(CHAINED, { ...REQUIRED, ...change }, null), {
        code: "ERR_PASSKEY_MODEL",
      });
  });

  for (const trust of UNTRUSTED)
    it(`${trust}: a model that is only claimed counts for nothing`, () => {
      const claimed = { ...CHAINED, trust };
      assert.throws(() => checkPasskeyPolicy(claimed, REQUIRED, null), {
        code: "ERR_PASSKEY_UNATTESTED",
      });
      const listed = { ...OPEN_POLICY, allowAaguids: [SOFT_AAGUID] };
      assert.throws(() => checkPasskeyPolicy(claimed, listed, null), { code: "ERR_PASSKEY_MODEL" });
      // What the docstring says of the deny list: it binds only those who say the truth.
      checkPasskeyPolicy(
        claimed,
        { ...OPEN_POLICY, denyAaguids: [SOFT_AAGUID] },
        metadataWith("REVOKED"),
      );
    });

  it("refuses synced passkeys by their bit, attested or not", () => {
    const policy = { ...OPEN_POLICY, synced: "refused" } as const;
    checkPasskeyPolicy(CHAINED, policy, null);
    for (const trust of [...UNTRUSTED, "chain"] as const)
      assert.throws(
        () => checkPasskeyPolicy({ ...CHAINED, trust, backupEligible: true }, policy, null),
        {
          code: "ERR_PASSKEY_SYNCED",
        },
      );
  });

  for (const status of [
    "REVOKED",
    "USER_VERIFICATION_BYPASS",
    "ATTESTATION_KEY_COMPROMISE",
    "USER_KEY_REMOTE_COMPROMISE",
    "USER_KEY_PHYSICAL_COMPROMISE",
  ])
    it(`${status} refuses the model, also where later reports follow`, () => {
      for (const metadata of [
        metadataWith(status),
        metadataWith("FIDO_CERTIFIED", status, "UPDATE_AVAILABLE"),
      ])
        assert.throws(() => checkPasskeyPolicy(CHAINED, OPEN_POLICY, metadata), {
          code: "ERR_PASSKEY_MODEL_STATUS",
        });
      checkPasskeyPolicy({ ...CHAINED, aaguid: OTHER }, OPEN_POLICY, metadataWith(status));
    });

  it("other statuses refuse nothing", () => {
    const statuses = [
      "NOT_FIDO_CERTIFIED",
      "FIDO_CERTIFIED_L3plus",
      "UPDATE_AVAILABLE",
      "SELF_ASSERTION_SUBMITTED",
    ];
    checkPasskeyPolicy(CHAINED, REQUIRED, metadataWith(...statuses));
  });

  it("is asked at registration: each kind of refusal", async () => {
    const cases: readonly (readonly [
      Parameters<typeof softKey>[0],
      typeof VENDOR_POLICY,
      string,
    ])[] = [
      [{}, REQUIRED, "ERR_PASSKEY_UNATTESTED"],
      [{ attestation: "self" }, REQUIRED, "ERR_PASSKEY_UNATTESTED"],
      [{ attestation: "x5c" }, { ...REQUIRED, roots: new Map() }, "ERR_PASSKEY_UNATTESTED"],
      [{ attestation: "x5c", certifiedAaguid: null }, REQUIRED, "ERR_PASSKEY_UNATTESTED"],
      [{ attestation: "x5c" }, { ...REQUIRED, allowAaguids: [OTHER] }, "ERR_PASSKEY_MODEL"],
      [{ attestation: "x5c" }, { ...REQUIRED, denyAaguids: [SOFT_AAGUID] }, "ERR_PASSKEY_MODEL"],
      [{ backupEligible: true }, { ...OPEN_POLICY, synced: "refused" }, "ERR_PASSKEY_SYNCED"],
    ];
    for (const [options, policy, code] of cases)
      // One after the other, so that a failure names its case.
      // oxlint-disable-next-line no-await-in-loop
      await assert.rejects(register(softKey(options), { policy }), { code });
    await register(softKey({ attestation: "x5c" }), { policy: REQUIRED });
    const metadata = metadataWith("USER_VERIFICATION_BYPASS");
    await assert.rejects(register(softKey({ attestation: "x5c" }), { metadata }), {
      code: "ERR_PASSKEY_MODEL_STATUS",
    });
  });
});

describe("tierOf", () => {
  it("backup bits and trust make three tiers; a synced key is synced with any attestation", () => {
    const rows: readonly (readonly [Passkey["trust"], boolean, string])[] = [
      ["chain", false, "attested"],
      ["chain", true, "synced"],
      ["self", false, "device-bound"],
      ["none", false, "device-bound"],
      ["unverified", false, "device-bound"],
      ["none", true, "synced"],
      ["self", true, "synced"],
    ];
    for (const [trust, isEligible, tier] of rows) {
      const passkey: Passkey = {
        credentialId: "AA",
        publicKey: new Uint8Array(),
        algorithm: "ES256",
        counter: 0,
        trust,
        format: "none",
        aaguid: undefined,
        backupEligible: isEligible,
        backedUp: false,
        transports: [],
      };
      assert.equal(tierOf(passkey), tier);
    }
  });

  it("says hardware only where a vendor vouches for it, and never a password", () => {
    const said = Object.values(TIER_CLAIMS);
    assert.equal(new Set(said.map(({ acr }) => acr)).size, 3);
    assert.equal(
      said.every(({ acr }) => /^urn:redoubt:acr:passkey(?:-[a-z]+)?$/.test(acr)),
      true,
    );
    assert.deepEqual(TIER_CLAIMS.attested.amr, ["pop", "hwk", "user", "mfa"]);
    assert.deepEqual(TIER_CLAIMS["device-bound"].amr, ["pop", "swk", "user", "mfa"]);
    assert.deepEqual(TIER_CLAIMS.synced.amr, ["pop", "swk", "user", "mfa"]);
  });
});

function read(json: JsonObject): ReturnType<typeof readPasskeyPolicy> {
  return readPasskeyPolicy(new MemberReader(json, "config passkeys"));
}

describe("readPasskeyPolicy", () => {
  const pem = `-----BEGIN CERTIFICATE-----\n${VENDOR.certificate.toString("base64")}\n-----END CERTIFICATE-----\n`;
  const good: JsonObject = {
    attestation: "required",
    synced: "refused",
    allowAaguids: [SOFT_AAGUID],
    denyAaguids: [OTHER],
    roots: [{ aaguid: SOFT_AAGUID, certificates: pem }],
  };

  it("reads the whole form, and null said aloud", async () => {
    const policy = read(good);
    assert.deepEqual(policy, {
      ...OPEN_POLICY,
      attestation: "required",
      synced: "refused",
      allowAaguids: [SOFT_AAGUID],
      denyAaguids: [OTHER],
      roots: policy.roots,
    });
    assert.equal(policy.roots.get(SOFT_AAGUID)?.[0]?.fingerprint, VENDOR_ROOT.fingerprint);
    assert.equal((await register(softKey({ attestation: "x5c" }), { policy })).trust, "chain");
    assert.equal(read({ ...good, allowAaguids: null }).allowAaguids, null);
  });

  it("requires every member, and refuses any other", () => {
    for (const name of Object.keys(good)) {
      const { [name]: _, ...rest } = good;
      assert.throws(() => read(rest), { code: "ERR_REQUEST_MEMBER" });
    }
    assert.throws(() => read({ ...good, more: 1 }), { code: "ERR_REQUEST_MEMBER" });
  });

  it("refuses each wrong part", () => {
    const root = { aaguid: SOFT_AAGUID, certificates: pem };
    const wrong: readonly (readonly [JsonObject, string])[] = [
      [{ attestation: "direct" }, "ERR_REQUEST_MEMBER"],
      [{ synced: true }, "ERR_REQUEST_MEMBER"],
      [{ denyAaguids: null }, "ERR_REQUEST_MEMBER"],
      [{ denyAaguids: ["YubiKey"] }, "ERR_CONFIG"],
      [{ allowAaguids: [SOFT_AAGUID.toUpperCase()] }, "ERR_CONFIG"],
      [{ denyAaguids: ["00000000-0000-0000-0000-000000000000"] }, "ERR_CONFIG"],
      [{ denyAaguids: [SOFT_AAGUID] }, "ERR_CONFIG"],
      [{ attestation: "none" }, "ERR_CONFIG"],
      [{ roots: [root, root] }, "ERR_CONFIG"],
      [{ roots: [{ ...root, certificates: "x" }] }, "ERR_CONFIG"],
      [{ roots: [{ ...root, more: 1 }] }, "ERR_REQUEST_MEMBER"],
      [{ roots: [{ ...root, aaguid: "x" }] }, "ERR_REQUEST_MEMBER"],
    ];
    for (const [change, code] of wrong) assert.throws(() => read({ ...good, ...change }), { code });
  });
});
