import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AttestationAuthority, SOFT_AAGUID } from "@redoubt/testkit";
import { isStale, verifyMetadata, type MetadataTrust, type ModelMetadata } from "./metadata.ts";
import { PasskeyError } from "./passkey-error.ts";
import {
  blobOf,
  BODY,
  encode,
  ENTRY,
  HOST,
  PUBLISHER,
  TRUST,
  type Making,
} from "./testing/metadata-blob.ts";
import { NOW, register, signIn, softKey, VENDOR_ROOT } from "./testing/ceremony.ts";

function codeOf(blob: Uint8Array, trust: MetadataTrust = TRUST): string {
  try {
    verifyMetadata(blob, trust);
  } catch (error) {
    assert.ok(error instanceof PasskeyError);
    return error.code;
  }
  return "ok";
}

describe("verifyMetadata", () => {
  for (const kind of ["ec", "rsa"] as const)
    it(`reads a BLOB that an ${kind} key signed, indexed by AAGUID`, () => {
      const entries = [ENTRY, { aaid: "4e4e#4005", statusReports: [] }];
      const read = verifyMetadata(blobOf({ ...BODY, entries }, { leaf: { kind } }), TRUST);
      const model = {
        description: "Test model",
        statuses: ["FIDO_CERTIFIED_L1"],
        roots: [VENDOR_ROOT],
      };
      const nextUpdate = Date.UTC(2026, 5, 30);
      const expected: ModelMetadata = {
        number: 7,
        nextUpdate,
        models: new Map([[SOFT_AAGUID, model]]),
      };
      assert.deepEqual(read, expected);
    });

  it("a line break at the end, as editors add, changes nothing", () => {
    assert.equal(codeOf(Buffer.concat([blobOf(BODY), Buffer.from("\n")])), "ok");
  });

  it("makes a chain at registration; a later one with another status refuses the passkey", async () => {
    const key = softKey({ attestation: "x5c" });
    const metadata = verifyMetadata(blobOf(BODY), TRUST);
    const passkey = await register(key, { metadata });
    assert.deepEqual([passkey.trust, passkey.aaguid], ["chain", SOFT_AAGUID]);
    await signIn(key, passkey, { metadata });
    const statusReports = [...ENTRY.statusReports, { status: "REVOKED" }];
    const next = { ...BODY, no: 8, entries: [{ ...ENTRY, statusReports }] };
    const later = verifyMetadata(blobOf(next), { ...TRUST, lastNumber: metadata.number });
    await assert.rejects(signIn(key, passkey, { metadata: later }), {
      code: "ERR_PASSKEY_MODEL_STATUS",
    });
  });

  it("adds up what two entries say of one model", () => {
    const second = { ...ENTRY, statusReports: [{ status: "REVOKED" }] };
    const { models } = verifyMetadata(blobOf({ ...BODY, entries: [second, ENTRY] }), TRUST);
    assert.deepEqual(models.get(SOFT_AAGUID)?.statuses, ["REVOKED", "FIDO_CERTIFIED_L1"]);
  });

  it("leaves out one vendor's unreadable certificate, and keeps its statuses", () => {
    const statement = { ...ENTRY.metadataStatement, attestationRootCertificates: ["AAAA"] };
    const entries = [{ ...ENTRY, metadataStatement: statement }];
    const model = verifyMetadata(blobOf({ ...BODY, entries }), TRUST).models.get(SOFT_AAGUID);
    assert.deepEqual([model?.roots, model?.statuses], [[], ["FIDO_CERTIFIED_L1"]]);
  });

  it("the number may stand or rise, and must not fall", () => {
    const blob = blobOf(BODY);
    assert.equal(codeOf(blob, { ...TRUST, lastNumber: 7 }), "ok");
    assert.equal(codeOf(blob, { ...TRUST, lastNumber: 8 }), "ERR_PASSKEY_METADATA_ROLLBACK");
  });

  it("is stale when the day of the next update is over", () => {
    const metadata = verifyMetadata(blobOf(BODY), TRUST);
    assert.equal(isStale(metadata, Date.UTC(2026, 6, 1) - 1), false);
    assert.equal(isStale(metadata, Date.UTC(2026, 6, 1)), true);
  });
});

describe("verifyMetadata: what must fail", () => {
  const stranger = new AttestationAuthority("Test metadata root");
  const forged: readonly (readonly [string, Making])[] = [
    ["another root of the same name", { authority: stranger }],
    [
      "an attacker's root sent along",
      { authority: stranger, x5c: (made) => [...made, stranger.certificate.toString("base64")] },
    ],
    ["our root, and the leaf of another host", { leaf: { host: "evil.test" } }],
    ["expired leaf", { leaf: { notAfter: NOW - 1000 } }],
    ["leaf of the future", { leaf: { notBefore: NOW + 1000 } }],
    ["alg none", { alg: "none" }],
    ["HS256", { alg: "HS256" }],
    ["RS256 by an EC key", { alg: "RS256" }],
    ["ES256 by an RSA key", { alg: "ES256", leaf: { kind: "rsa" } }],
    ["the root itself as signer", { x5c: () => [PUBLISHER.certificate.toString("base64")] }],
    ["no certificate", { x5c: () => [] }],
    [
      "certificate of another key",
      {
        x5c: () =>
          PUBLISHER.leaf({ aaguid: null, host: HOST }).x5c.map((der) => der.toString("base64")),
      },
    ],
  ];
  for (const [what, making] of forged)
    it(`${what}: not signed`, () => {
      assert.equal(codeOf(blobOf(BODY, making)), "ERR_PASSKEY_METADATA_SIGNATURE");
    });

  it("nothing is trusted without a root", () => {
    assert.equal(codeOf(blobOf(BODY), { ...TRUST, roots: [] }), "ERR_PASSKEY_METADATA_SIGNATURE");
  });

  it("a payload that was changed: not signed", () => {
    const [head = "", , signature = ""] = blobOf(BODY).toString().split(".");
    const swapped = Buffer.from(`${head}.${encode({ ...BODY, entries: [] })}.${signature}`);
    assert.equal(codeOf(swapped), "ERR_PASSKEY_METADATA_SIGNATURE");
  });

  it("refuses each malformed part, though signed", () => {
    const wrong: readonly unknown[] = [
      [],
      { ...BODY, no: "7" },
      { ...BODY, no: -1 },
      { ...BODY, no: 0.5 },
      { ...BODY, nextUpdate: "2026-13-01" },
      { ...BODY, nextUpdate: "soon" },
      { ...BODY, entries: {} },
      { ...BODY, entries: [1] },
      { ...BODY, entries: [{ ...ENTRY, aaguid: SOFT_AAGUID.toUpperCase() }] },
      { ...BODY, entries: [{ ...ENTRY, aaguid: null }] },
      { ...BODY, entries: [{ ...ENTRY, statusReports: undefined }] },
      { ...BODY, entries: [{ ...ENTRY, statusReports: [{}] }] },
      { ...BODY, entries: [{ ...ENTRY, metadataStatement: { attestationRootCertificates: [1] } }] },
    ];
    for (const body of wrong) assert.equal(codeOf(blobOf(body)), "ERR_PASSKEY_METADATA_FORM");
    for (const x5c of ["x", ["AAAA"], [1], Array.from({ length: 7 }, () => "AAAA")])
      assert.equal(codeOf(blobOf(BODY, { x5c: () => x5c })), "ERR_PASSKEY_METADATA_FORM");
    for (const text of ["", ".", "..", "a.b.c.d", "e30.e30.AA"])
      assert.equal(codeOf(Buffer.from(text)), "ERR_PASSKEY_METADATA_FORM");
    assert.equal(codeOf(Buffer.alloc(33_554_433)), "ERR_PASSKEY_METADATA_FORM");
  });

  it("never throws anything but its own error (THREAT-26)", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => codeOf(bytes) !== "ok"));
    fc.assert(
      fc.property(fc.jsonValue(), (json) => codeOf(blobOf(json)) !== "ok"),
      { numRuns: 30 },
    );
    const blob = blobOf(BODY);
    fc.assert(
      fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const bytes = Buffer.from(blob);
        bytes.writeUInt8(bytes.readUInt8(at) ^ by, at);
        return codeOf(bytes) !== "ok";
      }),
    );
  });
});
