import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { readDer } from "../der.ts";
import { EvidenceError } from "../evidence-error.ts";
import { makeSigner, TEST_NOW } from "../testing/certificates.ts";
import { der, integer, octets, sequence } from "../testing/der-writer.ts";
import {
  collateralJson,
  makeTdx,
  rsaDocumentSigner,
  sgxExtension,
  TDX_OFFSETS,
  TDX_ROOTS,
  type TdxSample,
} from "../testing/tdx-evidence.ts";
import { attestationVector, WITHOUT_VECTORS } from "../testing/tpm-vectors.ts";
import { parseTdxCollateral } from "./collateral.ts";
import { parseTdxQuote } from "./quote.ts";
import { TCB_STATUSES } from "./tcb-status.ts";
import { tdxClaims } from "./tdx-claims.ts";
import { type TdxOptions, verifyTdx } from "./verify-tdx.ts";

function verified(sample: TdxSample = {}, options: Partial<TdxOptions> = {}) {
  return verifyTdx(makeTdx(sample), {
    now: TEST_NOW,
    reportData: null,
    roots: TDX_ROOTS,
    ...options,
  });
}

function refused(code: string, sample: TdxSample, part?: string): void {
  assert.throws(
    () => verified(sample),
    { name: "EvidenceError", code, ...(part === undefined ? {} : { part }) },
    `${code} ${part}`,
  );
}

test("quotes of version 4 and 5, of TDX 1.0 and 1.5", () => {
  const claims = tdxClaims(verified());
  assert.deepEqual(claims, {
    "quote-version": 4,
    "is-debuggable": false,
    "td-attributes": "00".repeat(8),
    xfam: "e7".repeat(8),
    mrtd: "31".repeat(48),
    rtmrs: Object.fromEntries([0, 1, 2, 3].map((i) => [String(i), `7${i}`.repeat(48)])),
    "mr-config-id": "41".repeat(48),
    "mr-owner": "51".repeat(48),
    "mr-owner-config": "61".repeat(48),
    "mr-seam": "21".repeat(48),
    "report-data": "aa".repeat(64),
    ppid: "bd".repeat(16),
    fmspc: "b0c06f000000",
    "tcb-status": "UpToDate",
    "tcb-date": "2026-01-01T00:00:00.000Z",
    "advisory-ids": [],
    "platform-tcb-status": "UpToDate",
    "platform-tcb-date": "2026-01-01T00:00:00.000Z",
    "module-tcb-status": "UpToDate",
    "module-tcb-date": "2026-02-01T00:00:00.000Z",
    "qe-tcb-status": "UpToDate",
    "qe-tcb-date": "2026-03-01T00:00:00.000Z",
    "tcb-evaluation": 17,
    "collateral-expires": new Date(TEST_NOW + 86_400_000).toISOString(),
  });
  assert.equal(tdxClaims(verified({ version: 5 }))["mr-service-td"], undefined);
  assert.equal(tdxClaims(verified({ version: 5, td15: true }))["mr-service-td"], "81".repeat(48));
});

test("THREAT-13: a TD that can be debugged is told", () => {
  for (const bits of [1, 0x80])
    assert.equal(
      tdxClaims(
        verified({ change: (signed) => signed.writeUInt8(bits, TDX_OFFSETS.tdAttributes) }),
      )["is-debuggable"],
      true,
    );
});

test("THREAT-14: report data is compared where the caller names it", () => {
  verified({}, { reportData: Buffer.alloc(64, 0xaa) });
  assert.throws(() => verified({}, { reportData: Buffer.alloc(64, 0xab) }), {
    code: "ERR_EVIDENCE_BINDING",
    part: "quote.reportData",
  });
  assert.throws(() => verified({}, { reportData: Buffer.alloc(32) }), {
    name: "RangeError",
    message: "report data: 32 bytes, expected 64",
  });
});

test("THREAT-14: each signature vouches for the next, and no other key does", () => {
  const other = makeSigner("AK", "ecdsa-sha256");
  refused("ERR_EVIDENCE_SIGNATURE", { quoteSigner: other }, "quote");
  refused(
    "ERR_EVIDENCE_BINDING",
    { changeQe: (report) => report.writeUInt8(1, 320) },
    "quote.attestationKey",
  );
  refused(
    "ERR_EVIDENCE_BINDING",
    { changeQe: (report) => report.writeUInt8(1, 383) },
    "quote.attestationKey",
  );
  refused("ERR_EVIDENCE_BINDING", { point: Buffer.alloc(64, 1) }, "quote.attestationKey");
  const evidence = makeTdx();
  const foreign = { ...makeTdx({ leaf: { subject: makeSigner("PCK", "ecdsa-sha384") } }) };
  assert.throws(() => verifyTdx(foreign, { now: TEST_NOW, reportData: null, roots: TDX_ROOTS }), {
    code: "ERR_EVIDENCE_SIGNATURE",
    part: "qeReport",
  });
  assert.throws(() => verifyTdx(evidence, { now: TEST_NOW, reportData: null }), {
    code: "ERR_EVIDENCE_ROOT",
  });
  assert.throws(() => verified({}, { now: TEST_NOW + 10 * 365 * 86_400_000 }), {
    code: "ERR_EVIDENCE_TIME",
  });
  refused("ERR_EVIDENCE_FORMAT", { certificates: "none" });
});

function vouchedFor(point: Buffer): Buffer {
  return createHash("sha256").update(point).update(Buffer.alloc(32, 0x5a)).digest();
}

test("an attestation key that is no point is refused, though an enclave vouches for it", () => {
  const point = Buffer.alloc(64, 1);
  refused(
    "ERR_EVIDENCE_FORMAT",
    { point, changeQe: (report) => report.set(vouchedFor(point), 320) },
    "quote.attestationKey",
  );
});

function signedBytes(change: (bytes: Buffer) => unknown, sample: TdxSample = {}): TdxSample {
  return { ...sample, change: (bytes) => void change(bytes) };
}

test("structures are held to their kinds and sizes", () => {
  refused(
    "ERR_EVIDENCE_UNSUPPORTED",
    signedBytes((b) => b.writeUInt16LE(3, 0)),
    "quote.version",
  );
  refused(
    "ERR_EVIDENCE_UNSUPPORTED",
    signedBytes((b) => b.writeUInt16LE(3, 2)),
    "quote.attestationKeyType",
  );
  refused(
    "ERR_EVIDENCE_UNSUPPORTED",
    signedBytes((b) => b.writeUInt32LE(0, 4)),
    "quote.teeType",
  );
  refused(
    "ERR_EVIDENCE_UNSUPPORTED",
    signedBytes((b) => b.writeUInt8(0, 12)),
    "quote.qeVendor",
  );
  refused(
    "ERR_EVIDENCE_UNSUPPORTED",
    signedBytes((b) => b.writeUInt16LE(1, 48), { version: 5 }),
    "quote.bodyType",
  );
  refused(
    "ERR_EVIDENCE_FORMAT",
    signedBytes((b) => b.writeUInt32LE(585, 50), { version: 5 }),
    "quote.bodySize",
  );
  refused("ERR_EVIDENCE_UNSUPPORTED", { types: { certification: 5 } }, "quote.certificationType");
  refused("ERR_EVIDENCE_UNSUPPORTED", { types: { chain: 4 } }, "quote.certificateType");
  refused("ERR_EVIDENCE_FORMAT", { trailing: Buffer.of(0, 1) });
  assert.throws(() => parseTdxQuote(Buffer.alloc(32_769)), { code: "ERR_EVIDENCE_SIZE" });
  const quote = Buffer.from(makeTdx().quote);
  const inner = 632 + 4 + 128 + 2;
  for (const [offset, change] of [
    [632, 1],
    [632, -1],
    [inner, 1],
    [inner, -1],
  ] as const) {
    const torn = Buffer.from(quote);
    torn.writeUInt32LE(torn.readUInt32LE(offset) + change, offset);
    assert.throws(
      () => parseTdxQuote(torn),
      { code: "ERR_EVIDENCE_FORMAT" },
      `${offset} ${change}`,
    );
  }
});

test("the certificate says which platform it is for, once and in full", () => {
  for (const [id, value] of [
    ["1", undefined],
    ["1", octets(Buffer.alloc(15))],
    ["1", integer(1)],
    ["2", octets(Buffer.alloc(1))],
    ["3", octets(Buffer.alloc(3))],
    ["4", octets(Buffer.alloc(5))],
    ["2.16", undefined],
    ["2.17", octets(Buffer.alloc(1))],
  ] as const)
    refused(
      "ERR_EVIDENCE_CERTIFICATE",
      { sgx: { [id]: value } },
      `certificate.1.2.840.113741.1.13.1.${id}`,
    );
  refused(
    "ERR_EVIDENCE_CERTIFICATE",
    { leaf: { extensions: [] } },
    "certificate.1.2.840.113741.1.13.1",
  );
  const one = sgxExtension();
  const entries = readDer(one, 0x30, "sgx").value;
  const twice = sequence(entries, entries);
  refused(
    "ERR_EVIDENCE_CERTIFICATE",
    { leaf: { extensions: [{ oid: "1.2.840.113741.1.13.1", value: twice }] } },
    "certificate.1.2.840.113741.1.13.1.1",
  );
  const entry = sequence(
    der(6, Buffer.from("2a864886f84d010d0101", "hex")),
    octets(Buffer.alloc(16)),
    octets(Buffer.alloc(1)),
  );
  refused("ERR_EVIDENCE_FORMAT", {
    leaf: { extensions: [{ oid: "1.2.840.113741.1.13.1", value: sequence(entry) }] },
  });
});

function withSvn(bytes: readonly number[]): TdxSample {
  return { change: (signed) => signed.set(bytes, TDX_OFFSETS.teeTcbSvn) };
}

test("THREAT-13: the verdict on the platform, its module and its enclave, and the worst of them", () => {
  const of = (sample: TdxSample) => {
    const claims = tdxClaims(verified(sample));
    return ["tcb-status", "platform-tcb-status", "module-tcb-status", "qe-tcb-status"].map(
      (name) => claims[name],
    );
  };
  assert.deepEqual(of(withSvn([4, 1, 6])), ["OutOfDate", "OutOfDate", "UpToDate", "UpToDate"]);
  assert.deepEqual(of(withSvn([3, 1, 7])), ["OutOfDate", "UpToDate", "OutOfDate", "UpToDate"]);
  assert.deepEqual(of(withSvn([4, 0, 7])), ["UpToDate", "UpToDate", undefined, "UpToDate"]);
  assert.deepEqual(of({ changeQe: (report) => void report.writeUInt16LE(3, 258) }), [
    "OutOfDate",
    "UpToDate",
    "UpToDate",
    "OutOfDate",
  ]);
  for (const id of ["2.1", "2.16", "2.17"]) {
    const low = { "2.1": 0, "2.16": 15, "2.17": 10 }[id] ?? 0;
    if (id === "2.17")
      refused("ERR_EVIDENCE_COLLATERAL", { sgx: { [id]: integer(low) } }, "tcbInfo.tcbLevels");
    else assert.equal(of({ sgx: { [id]: integer(low) } })[0], "OutOfDate", id);
  }
  const old = tdxClaims(verified(withSvn([4, 1, 6])));
  assert.deepEqual(
    [old["tcb-date"], old["advisory-ids"]],
    ["2023-01-01T00:00:00.000Z", ["INTEL-SA-00001", "INTEL-SA-00002"]],
  );
});

test("with a module from before version 1, its numbers count as the platform's", () => {
  const sample: TdxSample = {
    change: (signed) => signed.set([4, 0, 7], TDX_OFFSETS.teeTcbSvn),
    tcbInfo: (info) => ({
      ...info,
      tcbLevels: info.tcbLevels.map((level) => ({
        ...level,
        tcb: { ...level.tcb, tdxtcbcomponents: level.tcb.tdxtcbcomponents.with(0, { svn: 5 }) },
      })),
    }),
  };
  refused("ERR_EVIDENCE_COLLATERAL", sample, "tcbInfo.tcbLevels");
  verified({ ...sample, change: (signed) => signed.set([4, 1, 7], TDX_OFFSETS.teeTcbSvn) });
});

test("every status of Intel is known, and a revoked one is refused", () => {
  for (const tcbStatus of TCB_STATUSES) {
    const sample: TdxSample = {
      tcbInfo: (info) => ({
        ...info,
        tcbLevels: info.tcbLevels.map((level) => ({ ...level, tcbStatus })),
      }),
    };
    if (tcbStatus === "Revoked") refused("ERR_EVIDENCE_REVOKED", sample, "tcb.status");
    else assert.equal(tdxClaims(verified(sample))["tcb-status"], tcbStatus);
  }
  const both: TdxSample = {
    changeQe: (report) => void report.writeUInt16LE(3, 258),
    tcbInfo: (info) => ({
      ...info,
      tcbLevels: info.tcbLevels.map((level) => ({ ...level, tcbStatus: "ConfigurationNeeded" })),
    }),
  };
  assert.equal(tdxClaims(verified(both))["tcb-status"], "OutOfDateConfigurationNeeded");
});

function beforeVersion1(signed: Buffer): void {
  signed.set([4, 0, 7], TDX_OFFSETS.teeTcbSvn);
}

test("THREAT-14: a module or enclave that is not Intel's is refused", () => {
  refused(
    "ERR_EVIDENCE_BINDING",
    { change: (signed) => signed.writeUInt8(1, TDX_OFFSETS.mrSignerSeam) },
    "tcbInfo.tdxModuleIdentities[0].mrsignerseam",
  );
  refused(
    "ERR_EVIDENCE_BINDING",
    { change: (signed) => signed.writeUInt8(1, TDX_OFFSETS.seamAttributes) },
    "tcbInfo.tdxModuleIdentities[0].attributes",
  );
  refused(
    "ERR_EVIDENCE_BINDING",
    {
      change: (signed) => {
        beforeVersion1(signed);
        signed.writeUInt8(1, TDX_OFFSETS.mrSignerSeam);
      },
    },
    "tcbInfo.tdxModule.mrsignerseam",
  );
  refused(
    "ERR_EVIDENCE_BINDING",
    { changeQe: (report) => void report.writeUInt8(1, 128) },
    "qeIdentity.mrsigner",
  );
  refused(
    "ERR_EVIDENCE_BINDING",
    { changeQe: (report) => void report.writeUInt16LE(1, 256) },
    "qeIdentity.isvprodid",
  );
  refused(
    "ERR_EVIDENCE_BINDING",
    { changeQe: (report) => void report.writeUInt8(1, 16) },
    "qeIdentity.miscselect",
  );
  refused(
    "ERR_EVIDENCE_BINDING",
    { changeQe: (report) => void report.writeUInt8(0x13, 48) },
    "qeIdentity.attributes",
  );
  // The mask leaves bit 2 of the first byte, and the upper eight bytes, open.
  verified({
    changeQe: (report) => {
      report.writeUInt8(0x15, 48);
      report.writeUInt8(0xff, 60);
    },
  });
  refused(
    "ERR_EVIDENCE_COLLATERAL",
    { change: (signed) => signed.set([4, 0x1f, 7], TDX_OFFSETS.teeTcbSvn) },
    "tcbInfo.tdxModuleIdentities",
  );
});

test("THREAT-14: collateral of another platform, kind or time is refused", () => {
  for (const [changes, part] of [
    [{ fmspc: "B0C06F000001" }, "tcbInfo.fmspc"],
    [{ pceId: "0001" }, "tcbInfo.fmspc"],
    [{ id: "SGX" }, "tcbInfo.id"],
    [{ version: 2 }, "tcbInfo.version"],
    [{ tcbType: 1 }, "tcbInfo.tcbType"],
    [{ nextUpdate: "2026-05-31T23:59:59Z" }, "tcbInfo.nextUpdate"],
    [{ issueDate: "2026-06-01T00:00:01Z" }, "tcbInfo.nextUpdate"],
    [{ issueDate: "2026-06-01" }, "tcbInfo.issueDate"],
    [{ issueDate: "2026-13-01T00:00:00Z" }, "tcbInfo.issueDate"],
    [{ tcbEvaluationDataNumber: -1 }, "tcbInfo.tcbEvaluationDataNumber"],
    [{ tcbEvaluationDataNumber: 1.5 }, "tcbInfo.tcbEvaluationDataNumber"],
    [{ tcbEvaluationDataNumber: "17" }, "tcbInfo.tcbEvaluationDataNumber"],
    [{ tcbLevels: [] }, "tcbInfo.tcbLevels"],
    [{ tcbLevels: 5 }, "tcbInfo.tcbLevels"],
    [{ tcbLevels: Array.from({ length: 201 }, () => ({})) }, "tcbInfo.tcbLevels"],
    [{ tcbLevels: [5] }, "tcbInfo.tcbLevels[0]"],
    [{ tcbLevels: [{ tcb: 5 }] }, "tcbInfo.tcbLevels[0].tcb"],
    [
      { tcbLevels: [{ tcb: { sgxtcbcomponents: [{ svn: 0 }] } }] },
      "tcbInfo.tcbLevels[0].tcb.sgxtcbcomponents",
    ],
    [
      { tcbLevels: [{ tcb: { sgxtcbcomponents: [{ svn: -1 }] } }] },
      "tcbInfo.tcbLevels[0].tcb.sgxtcbcomponents[0].svn",
    ],
  ] as const)
    refused("ERR_EVIDENCE_COLLATERAL", { tcbInfo: (info) => ({ ...info, ...changes }) }, part);
  for (const changes of [
    { tcbStatus: "Fine" },
    { advisoryIDs: ["X"] },
    { advisoryIDs: [5] },
    { advisoryIDs: [["INTEL-SA-00001"]] },
    { tcbDate: 5 },
  ])
    refused("ERR_EVIDENCE_COLLATERAL", {
      tcbInfo: (info) => ({
        ...info,
        tcbLevels: info.tcbLevels.map((level) => ({ ...level, ...changes })),
      }),
    });
  for (const [changes, part] of [
    [{ id: "QE" }, "qeIdentity.id"],
    [{ version: 1 }, "qeIdentity.version"],
    [{ mrsigner: "DC" }, "qeIdentity.mrsigner"],
    [{ mrsigner: "ZZ".repeat(32) }, "qeIdentity.mrsigner"],
    [{ tcbLevels: [] }, "qeIdentity.tcbLevels"],
    [{ nextUpdate: "2026-05-31T00:00:00Z" }, "qeIdentity.nextUpdate"],
  ] as const)
    refused(
      "ERR_EVIDENCE_COLLATERAL",
      { qeIdentity: (identity) => ({ ...identity, ...changes }) },
      part,
    );
  refused("ERR_EVIDENCE_COLLATERAL", { tcbInfo: () => "{" }, "tcbInfo");
});

test("an evaluation that is older than one that was seen is refused", () => {
  verified({}, { minEvaluation: 17 });
  assert.throws(() => verified({}, { minEvaluation: 18 }), {
    code: "ERR_EVIDENCE_COLLATERAL",
    part: "tcbInfo.tcbEvaluationDataNumber",
    found: 17,
    expected: 18,
  });
});

test("revoked keys, and lists of the wrong issuer, are refused", () => {
  refused("ERR_EVIDENCE_REVOKED", { crls: { pck: { revoked: [7] } } });
  refused("ERR_EVIDENCE_REVOKED", { crls: { root: { revoked: [5] } } });
  refused("ERR_EVIDENCE_REVOKED", { crls: { root: { revoked: [6] } } });
  const other = makeSigner("Other", "ecdsa-sha256");
  refused("ERR_EVIDENCE_COLLATERAL", { crls: { pck: { issuer: other } } });
  refused("ERR_EVIDENCE_COLLATERAL", { crls: { root: { issuer: other } } });
  refused("ERR_EVIDENCE_COLLATERAL", { crls: { pck: { nextUpdate: TEST_NOW - 1000 } } });
  const early = tdxClaims(verified({ crls: { pck: { nextUpdate: TEST_NOW + 1000 } } }));
  assert.equal(early["collateral-expires"], new Date(TEST_NOW + 1000).toISOString());
  const evidence = makeTdx();
  for (const pckCrlIssuerChain of [
    evidence.collateral.tcbInfoIssuerChain,
    evidence.collateral.pckCrlIssuerChain.split("-----END CERTIFICATE-----\n")[0] +
      "-----END CERTIFICATE-----\n",
  ])
    assert.throws(
      () =>
        verifyTdx(
          { ...evidence, collateral: { ...evidence.collateral, pckCrlIssuerChain } },
          { now: TEST_NOW, reportData: null, roots: TDX_ROOTS },
        ),
      { code: "ERR_EVIDENCE_COLLATERAL", part: "collateral.pckCrlIssuerChain" },
    );
});

test("documents that somebody else signed are refused", () => {
  refused(
    "ERR_EVIDENCE_SIGNATURE",
    { documentSigner: makeSigner("TCB Signing", "ecdsa-sha256") },
    "tcbInfo",
  );
  const { signer, chain } = rsaDocumentSigner();
  refused("ERR_EVIDENCE_SIGNATURE", { tcbChain: chain, documentSigner: signer }, "tcbInfo");
  const evidence = makeTdx();
  const changed = { ...evidence.collateral, qeIdentity: `${evidence.collateral.qeIdentity} ` };
  assert.throws(
    () =>
      verifyTdx(
        { ...evidence, collateral: changed },
        { now: TEST_NOW, reportData: null, roots: TDX_ROOTS },
      ),
    { code: "ERR_EVIDENCE_SIGNATURE", part: "qeIdentity" },
  );
});

test("THREAT-13: the key of somebody's platform signs no collateral", () => {
  const pck = makeSigner("PCK", "ecdsa-sha256");
  const sample: TdxSample = { leaf: { subject: pck } };
  verified(sample);
  const tcbChain = parseTdxQuote(makeTdx(sample).quote).certificates.toString();
  refused(
    "ERR_EVIDENCE_COLLATERAL",
    { ...sample, tcbChain, documentSigner: pck },
    "tcbInfo issuer",
  );
});

test("collateral in the form of PCCS is read, or the member that is wrong is named", () => {
  const json = collateralJson(makeTdx().collateral);
  assert.deepEqual(Object.keys(parseTdxCollateral(JSON.stringify(json))).length, 9);
  for (const [changes, part] of [
    [{ tcb_info: 5 }, "collateral.tcb_info"],
    [{ pck_crl: "abc" }, "collateral.pck_crl"],
    [{ root_ca_crl: "zz" }, "collateral.root_ca_crl"],
    [{ tcb_info_signature: "00" }, "collateral.tcb_info_signature"],
  ] as const)
    assert.throws(() => parseTdxCollateral(JSON.stringify({ ...json, ...changes })), {
      code: "ERR_EVIDENCE_COLLATERAL",
      part,
    });
  assert.throws(() => parseTdxCollateral("{"), {
    code: "ERR_EVIDENCE_COLLATERAL",
    part: "collateral",
  });
});

test("THREAT-13: no changed byte of a quote's signed parts is accepted", () => {
  const evidence = makeTdx();
  const quote = Buffer.from(evidence.quote);
  fc.assert(
    fc.property(fc.nat(quote.length - 21), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(quote);
      changed[at] = (changed[at] ?? 0) ^ flip;
      try {
        const claims = tdxClaims(
          verifyTdx(
            { ...evidence, quote: changed },
            { now: TEST_NOW, reportData: null, roots: TDX_ROOTS },
          ),
        );
        // Line breaks of the PEM text are covered by nothing, and say nothing.
        assert.deepEqual(
          claims,
          tdxClaims(verifyTdx(evidence, { now: TEST_NOW, reportData: null, roots: TDX_ROOTS })),
        );
        assert.ok(at > 632 + 4 + 128 + 6 + 450, `offset ${at}`);
      } catch (error) {
        assert.ok(error instanceof EvidenceError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test("any bytes give a quote or a coded error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), (bytes) => {
      assert.throws(() => parseTdxQuote(bytes), EvidenceError);
    }),
  );
});

test("a real quote with its collateral", { skip: WITHOUT_VECTORS }, () => {
  const collateral = parseTdxCollateral(attestationVector("tdx/phala-quote-v4-collateral.json"));
  const quote = attestationVector("tdx/phala-quote-v4.dat");
  const claims = tdxClaims(
    verifyTdx({ quote, collateral }, { now: Date.UTC(2025, 5, 25), reportData: null }),
  );
  assert.equal(claims["tcb-status"], "UpToDate");
  assert.equal(claims["is-debuggable"], false);
  assert.throws(
    () => verifyTdx({ quote, collateral }, { now: Date.UTC(2025, 7, 25), reportData: null }),
    { code: "ERR_EVIDENCE_COLLATERAL" },
  );
  for (const other of ["tdx/quote-v5.dat", "tdx/cos-113-quote.dat"])
    assert.equal(parseTdxQuote(attestationVector(other)).body.rtmrs.length, 4);
});
