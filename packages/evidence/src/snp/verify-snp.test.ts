import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import { decodePemChain } from "../pem.ts";
import { makeSigner, TEST_NOW } from "../testing/certificates.ts";
import { der, integer } from "../testing/der-writer.ts";
import { makeSnp, type SnpSample } from "../testing/snp-evidence.ts";
import { attestationVector, WITHOUT_VECTORS } from "../testing/tpm-vectors.ts";
import { parseSnpReport } from "./report.ts";
import { snpClaims } from "./snp-claims.ts";
import { AMD_ROOTS, verifySnp } from "./verify-snp.ts";

function verified(sample: SnpSample = {}, options: { now?: number; reportData?: Uint8Array } = {}) {
  const { evidence, roots } = makeSnp(sample);
  return verifySnp(evidence, { now: TEST_NOW, reportData: null, roots, ...options });
}

function changed(change: (report: Buffer) => void, sample: SnpSample = {}): () => unknown {
  return () => verified({ ...sample, change });
}

test("reports of every product, version and key", () => {
  for (const product of ["Milan", "Genoa", "Turin"] as const) {
    for (const version of product === "Turin" ? [3, 5] : [2, 3, 5]) {
      for (const vlek of [false, true]) {
        const claims = snpClaims(verified({ product, version, vlek }));
        assert.equal(claims.product, product);
        assert.equal(claims["signing-key"], vlek ? "vlek" : "vcek");
        assert.equal("chip-id" in claims, !vlek);
      }
    }
  }
});

test("the claims are what the report says", () => {
  const claims = snpClaims(verified());
  assert.deepEqual(claims, {
    product: "Genoa",
    "report-version": 3,
    "signing-key": "vcek",
    "guest-svn": 7,
    vmpl: 0,
    "is-debuggable": false,
    "migration-allowed": false,
    "smt-allowed": true,
    "single-socket": false,
    "smt-enabled": true,
    "tsme-enabled": false,
    "ecc-enabled": true,
    "alias-check-complete": true,
    measurement: "bb".repeat(48),
    "report-data": "aa".repeat(64),
    "host-data": "cc".repeat(32),
    "family-id": "0f".repeat(16),
    "image-id": "1f".repeat(16),
    "id-key-digest": "dd".repeat(48),
    "author-key-enabled": false,
    "author-key-digest": "ee".repeat(48),
    "report-id": "11".repeat(32),
    "chip-id": Buffer.from(Array.from({ length: 64 }, (_, i) => i + 1)).toString("hex"),
    "firmware-major": 1,
    "firmware-minor": 55,
    "firmware-build": 29,
    tcb: { bootloader: 4, tee: 1, snp: 24, microcode: 219 },
    "committed-tcb": { bootloader: 4, tee: 1, snp: 24, microcode: 219 },
    "current-tcb": { bootloader: 4, tee: 1, snp: 24, microcode: 219 },
    "reported-is-committed": true,
  });
  const turin = snpClaims(verified({ product: "Turin" }));
  assert.deepEqual(turin.tcb, { fmc: 2, bootloader: 4, tee: 1, snp: 24, microcode: 219 });
});

test("THREAT-13: debug, migration, privilege level and platform bits are told as they are", () => {
  const claims = snpClaims(
    verified({
      change: (report) => {
        report.writeBigUInt64LE(0x3e_0000n, 8);
        report.writeUInt32LE(3, 0x30);
        report.writeBigUInt64LE(2n, 0x40);
        report.writeUInt32LE(1, 0x48);
        report.writeUInt8(23, 0x1e6);
      },
    }),
  );
  const names = [
    "is-debuggable",
    "migration-allowed",
    "smt-allowed",
    "single-socket",
    "vmpl",
    "smt-enabled",
    "tsme-enabled",
    "alias-check-complete",
    "author-key-enabled",
    "reported-is-committed",
  ];
  assert.deepEqual(
    names.map((name) => claims[name]),
    [true, true, false, true, 3, false, true, false, true, false],
  );
});

test("THREAT-14: report data is compared where the caller names it", () => {
  verified({}, { reportData: Buffer.alloc(64, 0xaa) });
  for (const at of [0, 63]) {
    const other = Buffer.alloc(64, 0xaa);
    other[at] = 0xab;
    assert.throws(() => verified({}, { reportData: other }), {
      code: "ERR_EVIDENCE_BINDING",
      part: "report.reportData",
    });
  }
  assert.throws(() => verified({}, { reportData: Buffer.alloc(32) }), {
    name: "RangeError",
    message: "report data: 32 bytes, expected 64",
  });
});

function cpu(family: number, model: number): (report: Buffer) => void {
  return (report) => report.set([family, model], 0x188);
}

test("THREAT-14: one product's certificate does not vouch for another's report", () => {
  const binding = { code: "ERR_EVIDENCE_BINDING", part: "report.cpuid" };
  for (const model of [0x10, 0x1f, 0xa0, 0xaf]) verified({ change: cpu(0x19, model) });
  for (const model of [0x0f, 0x20, 0x9f, 0xb0]) assert.throws(changed(cpu(0x19, model)), binding);
  assert.throws(changed(cpu(0x1a, 0x11)), binding);
  verified({ product: "Milan", change: cpu(0x19, 0x0f) });
  assert.throws(changed(cpu(0x19, 0x10), { product: "Milan" }), binding);
  verified({ product: "Turin", change: cpu(0x1a, 0x1f) });
  assert.throws(changed(cpu(0x1a, 0x20), { product: "Turin" }), {
    ...binding,
    found: "unknown",
    expected: "Turin",
  });
  assert.throws(changed(cpu(0x19, 0x11), { product: "Turin" }), binding);
  assert.throws(() => verified({ product: "Turin", version: 2 }), binding);
});

test("THREAT-14: a certificate of another chip, and a chip that the host masked, are refused", () => {
  const binding = { code: "ERR_EVIDENCE_BINDING", part: "report.chipId" };
  for (const at of [0x1a0, 0x1df])
    assert.throws(
      changed((report) => report.writeUInt8(0xee, at)),
      binding,
    );
  assert.throws(
    changed((report) => report.writeUInt8(1, 0x1a8), { product: "Turin" }),
    binding,
  );
  const masked = {
    extensions: { "4": Buffer.alloc(64) },
    change: (report: Buffer) => void report.fill(0, 0x1a0, 0x1e0),
  };
  assert.throws(() => verified(masked), binding);
});

test("THREAT-14: a certificate of another TCB is refused, and all TCBs are shown", () => {
  for (const id of ["3.1", "3.2", "3.3", "3.8"]) {
    assert.throws(() => verified({ extensions: { [id]: integer(9) } }), {
      code: "ERR_EVIDENCE_BINDING",
      part: "report.reportedTcb",
    });
  }
  assert.throws(() => verified({ product: "Turin", extensions: { "3.9": integer(9) } }), {
    message:
      "SNP: certificate is of another TCB (committed fmc 2 bl 4 tee 1 snp 24 ucode 219; current fmc 2 bl 4 tee 1 snp 24 ucode 219): " +
      "found fmc 2 bl 4 tee 1 snp 24 ucode 219, expected fmc 9 bl 4 tee 1 snp 24 ucode 219",
  });
});

test("a good host whose newer firmware is not committed passes", () => {
  const { currentTcb } = verified({ change: (report) => report.writeUInt8(220, 0x3f) });
  assert.equal(currentTcb.microcode, 220);
});

test("THREAT-14: a report that is not signed by a VCEK or VLEK is refused by name", () => {
  for (const [flags, part] of [
    [2, "report.maskChipKey"],
    [0x1c, "report.signingKey"],
    [8, "report.signingKey"],
  ] as const) {
    assert.throws(
      changed((report) => report.writeUInt32LE(flags, 0x48)),
      { code: "ERR_EVIDENCE_SIGNATURE", part },
    );
  }
  assert.throws(
    changed((report) => report.writeUInt32LE(4, 0x48)),
    { code: "ERR_EVIDENCE_BINDING", part: "report.signingKey" },
  );
  assert.throws(
    changed((report) => report.writeUInt32LE(0, 0x48), { vlek: true }),
    { code: "ERR_EVIDENCE_BINDING" },
  );
});

test("a structure that is not as specified is refused", () => {
  const format = { code: "ERR_EVIDENCE_FORMAT" };
  for (const [offset, value] of [
    [0x4c, 1],
    [0x18b, 1],
    [0x19f, 1],
    [0x1eb, 1],
    [0x1ef, 1],
    [0x1f8, 1],
    [0x29f, 1],
    [0x182, 1],
    [0x1e5, 1],
    [0x3a, 1],
    [0x49, 1],
    [0x0b, 4],
    [0x0a, 1],
    [0x30, 4],
  ] as const) {
    assert.throws(
      changed((report) => report.writeUInt8(value, offset)),
      format,
      `offset ${offset}`,
    );
  }
  assert.throws(
    changed((report) => report.writeUInt8(1, 0x188), { product: "Milan", version: 2 }),
    format,
  );
  assert.throws(
    changed((report) => report.writeUInt8(1, 0x208), { version: 5 }),
    format,
  );
  verified({ version: 5, change: (report) => report.fill(0x55, 0x1f8, 0x208) });
  for (const offset of [0x183, 0x3d])
    verified({ product: "Genoa", change: (r) => void r.writeUInt8(0, offset) });
  for (const offset of [0x184, 0x186])
    assert.throws(
      changed((r) => r.writeUInt8(1, offset), { product: "Turin" }),
      format,
    );
  const { evidence, roots } = makeSnp();
  for (const offset of [0x2d0, 0x318, 0x330, 0x49f]) {
    const report = Buffer.from(evidence.report);
    report[offset] = 1;
    assert.throws(
      () => verifySnp({ ...evidence, report }, { now: TEST_NOW, reportData: null, roots }),
      format,
    );
  }
  for (const report of [
    evidence.report.subarray(1),
    Buffer.concat([evidence.report, Buffer.alloc(1)]),
  ]) {
    assert.throws(
      () => verifySnp({ ...evidence, report }, { now: TEST_NOW, reportData: null, roots }),
      { ...format, part: "report" },
    );
  }
});

test("unknown versions and algorithms are refused by name", () => {
  for (const version of [0, 1, 4, 6])
    assert.throws(() => verified({ version }), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: "report.version",
    });
  assert.throws(
    changed((report) => report.writeUInt32LE(2, 0x34)),
    { code: "ERR_EVIDENCE_UNSUPPORTED", part: "report.signatureAlgo" },
  );
});

test("THREAT-14: certificates of the wrong kind are refused", () => {
  const refused = { name: "EvidenceError", code: "ERR_EVIDENCE_CERTIFICATE" };
  for (const [sample, part] of [
    [{ leafName: "SEV-VCEK2" }, "subject"],
    [{ issuerName: "SEV-VLEK-Genoa" }, "issuer"],
    [{ issuerName: "SEV-Genoa2" }, "issuer"],
    [{ vlek: true, issuerName: "SEV-Genoa" }, "issuer"],
    [{ extensions: { "2": der(0x16, Buffer.from("Milan-B0")) } }, "productName"],
    [{ extensions: { "2": der(0x16, Buffer.from("Genoa2")) } }, "productName"],
    [{ extensions: { "2": undefined } }, "1.3.6.1.4.1.3704.1.2"],
    [{ extensions: { "4": undefined } }, "1.3.6.1.4.1.3704.1.4"],
    [{ extensions: { "4": undefined, "4.1": Buffer.alloc(64) } }, "1.3.6.1.4.1.3704.1.4"],
    [{ extensions: { "4": Buffer.alloc(8, 1) } }, "hwid"],
    [{ product: "Turin", extensions: { "4": Buffer.alloc(64, 1) } }, "hwid"],
    [{ extensions: { "3.3": undefined } }, "1.3.6.1.4.1.3704.1.3.3"],
    [{ leaf: { subject: { ...makeSigner("SEV-VCEK", "ecdsa-sha256") } } }, "publicKey"],
  ] satisfies [SnpSample, string][]) {
    assert.throws(() => verified(sample), { ...refused, part: `certificate.${part}` });
  }
  const wrapped = { extensions: { "3.1": der(0x0a, Buffer.of(4)) } };
  assert.throws(() => verified(wrapped), { code: "ERR_EVIDENCE_FORMAT" });
});

test("the chain has three certificates, and ends in a root of AMD", () => {
  const { evidence, roots } = makeSnp();
  const [leaf, issuer, root] = evidence.chain;
  assert.ok(leaf !== undefined && issuer !== undefined && root !== undefined);
  for (const chain of [[], [leaf], [leaf, issuer], [leaf, issuer, root, root]]) {
    assert.throws(
      () => verifySnp({ ...evidence, chain }, { now: TEST_NOW, reportData: null, roots }),
      { code: "ERR_EVIDENCE_CERTIFICATE", part: "chain" },
    );
  }
  assert.throws(() => verifySnp(evidence, { now: TEST_NOW, reportData: null }), {
    code: "ERR_EVIDENCE_ROOT",
  });
  const unrelated = makeSnp({ product: "Milan" }).evidence.chain;
  const mixed = [leaf, ...unrelated.slice(1)];
  assert.throws(
    () =>
      verifySnp(
        { ...evidence, chain: mixed },
        { now: TEST_NOW, reportData: null, roots: makeSnp({ product: "Milan" }).roots },
      ),
    EvidenceError,
  );
});

function ahead(ms: number): () => unknown {
  return () => verified({ leaf: { notBefore: TEST_NOW + ms } });
}

test("a certificate a few minutes ahead of us passes, an expired one does not", () => {
  ahead(300_000)();
  assert.throws(ahead(301_000), { code: "ERR_EVIDENCE_TIME" });
  assert.throws(() => verified({ leaf: { notAfter: TEST_NOW - 1 } }), {
    code: "ERR_EVIDENCE_TIME",
  });
});

test("THREAT-13: no changed report is accepted, whatever is changed", () => {
  const { evidence, roots } = makeSnp();
  fc.assert(
    fc.property(fc.nat(1183), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const report = Buffer.from(evidence.report);
      report[at] = (report[at] ?? 0) ^ flip;
      assert.throws(
        () => verifySnp({ ...evidence, report }, { now: TEST_NOW, reportData: null, roots }),
        EvidenceError,
      );
    }),
    { numRuns: 300 },
  );
});

test("any bytes give a report or a coded error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1200 }), (bytes) => {
      assert.throws(() => parseSnpReport(bytes), EvidenceError);
    }),
  );
});

function pemChain(name: string): readonly Buffer[] {
  return decodePemChain(attestationVector(name).toString("latin1"), {
    maxCertificates: 3,
    what: name,
  });
}

function real(report: string, leaf: string, issuers: string) {
  const bytes = attestationVector(report);
  const leafDer = leaf.endsWith(".pem") ? pemChain(leaf) : [attestationVector(leaf)];
  return {
    report: report.endsWith(".hex") ? Buffer.from(bytes.toString("latin1").trim(), "hex") : bytes,
    chain: [...leafDer, ...pemChain(issuers)],
  };
}

test("real reports verify up to AMD's roots", { skip: WITHOUT_VECTORS }, () => {
  const samples = [
    ["snp/milan-v2-report.bin", "snp/milan-v2-vcek.der", "snp/milan-ask-ark.pem", true],
    ["snp/virtee-milan-report.hex", "snp/virtee-milan-vcek.der", "snp/milan-ask-ark.pem", false],
    ["snp/coco-report.bin", "snp/coco-vcek.der", "snp/milan-ask-ark.pem", false],
    [
      "snp/coco-vlek-report.bin",
      "snp/coco-vlek.der",
      "snp/milan-asvk-ark.pem",
      false,
      Date.UTC(2025, 5, 1),
    ],
    ["snp/ms-milan-report.bin", "snp/ms-milan-vcek.pem", "snp/milan-ask-ark.pem", false],
  ] as const;
  for (const [report, leaf, issuers, debuggable, now = Date.UTC(2026, 5, 1)] of samples) {
    const claims = snpClaims(verifySnp(real(report, leaf, issuers), { now, reportData: null }));
    assert.equal(claims.product, "Milan", report);
    assert.equal(claims["is-debuggable"], debuggable, report);
  }
});

test("roots of all three products are pinned as AMD serves them", { skip: WITHOUT_VECTORS }, () => {
  for (const product of ["milan", "genoa", "turin"]) {
    for (const issuers of [`snp/${product}-ask-ark.pem`, `snp/${product}-asvk-ark.pem`]) {
      const chain = [attestationVector("snp/virtee-turin-vcek.der"), ...pemChain(issuers)];
      const report = real("snp/ms-milan-report.bin", "snp/ms-milan-vcek.pem", issuers).report;
      const refusal =
        product === "turin" ? /names|signature|kind|TCB|wrong|product|issuer/ : /name|signature/;
      assert.throws(
        () => verifySnp({ report, chain }, { now: Date.UTC(2025, 5, 1), reportData: null }),
        (error) => {
          assert.ok(error instanceof EvidenceError);
          assert.notEqual(error.code, "ERR_EVIDENCE_ROOT");
          assert.match(error.message, refusal);
          return true;
        },
      );
    }
  }
  assert.equal(AMD_ROOTS.size, 3);
});

test(
  "real negatives are refused: tampered key, expired VLEK, foreign chip, other product's chain",
  { skip: WITHOUT_VECTORS },
  () => {
    const now = Date.UTC(2025, 5, 1);
    const attempts = [
      [real("snp/milan-v2-report.bin", "snp/negative-vcek-new.der", "snp/milan-ask-ark.pem"), now],
      [
        real("snp/coco-vlek-report.bin", "snp/coco-vlek.der", "snp/milan-asvk-ark.pem"),
        Date.UTC(2026, 5, 1),
      ],
      [real("snp/coco-report.bin", "snp/virtee-milan-vcek.der", "snp/milan-ask-ark.pem"), now],
      [real("snp/coco-report.bin", "snp/coco-vcek.der", "snp/genoa-ask-ark.pem"), now],
      [real("snp/coco-report.bin", "snp/coco-vcek.der", "snp/milan-asvk-ark.pem"), now],
    ] as const;
    for (const [evidence, at] of attempts) {
      assert.throws(() => verifySnp(evidence, { now: at, reportData: null }), EvidenceError);
    }
  },
);
