import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import { decodePemChain } from "../pem.ts";
import {
  AZURE_NONCE,
  AZURE_SELECTION,
  type AzureSample,
  makeAzureSnp,
} from "../testing/azure-evidence.ts";
import { TEST_NOW } from "../testing/certificates.ts";
import { attestationVector, WITHOUT_VECTORS } from "../testing/tpm-vectors.ts";
import { parseHclReport } from "./hcl-report.ts";
import { azureClaims, type AzureOptions, verifyAzureSnp } from "./verify-azure.ts";

const demand: AzureOptions = {
  now: TEST_NOW,
  quote: { selection: AZURE_SELECTION, qualifyingData: AZURE_NONCE },
  userData: null,
};

function verified(sample: AzureSample = {}, options: Partial<AzureOptions> = {}) {
  const { evidence, roots } = makeAzureSnp(sample);
  return verifyAzureSnp(evidence, { ...demand, roots, ...options });
}

test("the processor vouches for the key of the TPM, and that for PCRs and nonce", () => {
  const { snp, runtime, quote } = verified({}, { userData: Buffer.alloc(64, 0xab) });
  assert.equal(snp.product, "Genoa");
  assert.deepEqual(azureClaims(runtime), {
    "vm-unique-id": "26f8bc30-774e-4290-8e7a-535f3b672aee",
    "secure-boot": true,
    "tpm-enabled": true,
    "console-enabled": false,
    "user-data": "ab".repeat(64),
  });
  assert.deepEqual([...quote.pcrs.keys()], [0, 4, 11]);
});

test("THREAT-14: another nonce, other user data, another set of PCRs", () => {
  const binding = { code: "ERR_EVIDENCE_BINDING" };
  assert.throws(() => verified({ nonce: Buffer.alloc(32, 1) }), binding);
  for (const userData of [Buffer.alloc(64, 0xac), Buffer.alloc(63, 0xab)])
    assert.throws(() => verified({}, { userData }), {
      ...binding,
      part: "hclReport.runtimeData.user-data",
    });
  const old = without("user-data");
  assert.equal("user-data" in azureClaims(verified(old).runtime), false);
  assert.throws(() => verified(old, { userData: Buffer.alloc(64, 0xab) }), binding);
  const selection = { bank: "sha256", indices: [0, 4] } as const;
  assert.throws(() => verified({}, { quote: { ...demand.quote, selection } }), {
    code: "ERR_EVIDENCE_PCR_SELECTION",
  });
});

test("THREAT-14: runtime data that the processor did not sign over", () => {
  const at = 32 + 1184 + 20 + 30;
  assert.throws(
    () => verified({ change: (report) => report.writeUInt8(report.readUInt8(at) ^ 1, at) }),
    {
      code: "ERR_EVIDENCE_BINDING",
      part: "report.reportData",
    },
  );
});

test("the structure is held to its sizes, versions and kinds", () => {
  for (const [offset, value, code] of [
    [0, 0, "ERR_EVIDENCE_FORMAT"],
    [4, 3, "ERR_EVIDENCE_UNSUPPORTED"],
    [8, 5, "ERR_EVIDENCE_FORMAT"],
    [12, 1, "ERR_EVIDENCE_FORMAT"],
    [16, 1, "ERR_EVIDENCE_FORMAT"],
    [28, 1, "ERR_EVIDENCE_FORMAT"],
    [1216, 5, "ERR_EVIDENCE_FORMAT"],
    [1220, 2, "ERR_EVIDENCE_FORMAT"],
    [1224, 3, "ERR_EVIDENCE_UNSUPPORTED"],
    [1228, 2, "ERR_EVIDENCE_UNSUPPORTED"],
    [1232, 5, "ERR_EVIDENCE_FORMAT"],
  ] as const) {
    assert.throws(
      () => verified({ change: (report) => report.writeUInt32LE(value, offset) }),
      { code },
      `offset ${offset}`,
    );
  }
  verified({ change: (report) => report.writeUInt32LE(1, 4) });
  assert.throws(() => verified({ change: (report) => report.writeUInt8(1, report.length - 1) }), {
    code: "ERR_EVIDENCE_FORMAT",
  });
  assert.throws(() => parseHclReport(Buffer.alloc(16_385)), { code: "ERR_EVIDENCE_SIZE" });
  assert.throws(() => verified({ reportType: 3 }), {
    message: "HCL report: unknown reportType: found 3",
  });
  assert.throws(() => verified({ reportType: 4 }), {
    code: "ERR_EVIDENCE_UNSUPPORTED",
    found: "tdx",
    expected: "snp",
  });
});

type Runtime = Record<string, unknown>;

function without(group: string, member?: string): AzureSample {
  return {
    runtime: (runtime) => {
      const { [group]: value, ...rest } = runtime;
      const inner = Object.entries(Object(value)).filter(([name]) => name !== member);
      return member === undefined ? rest : { ...rest, [group]: Object.fromEntries(inner) };
    },
  };
}

function configuration(changes: object): AzureSample {
  const name = "vm-configuration";
  return {
    runtime: (runtime) => ({ ...runtime, [name]: { ...Object(runtime[name]), ...changes } }),
  };
}

function keys(change: (ak: object, ek: object) => unknown): AzureSample {
  return {
    runtime: (runtime: Runtime) => {
      assert.ok(Array.isArray(runtime["keys"]));
      const [ak, ek] = runtime["keys"];
      return { ...runtime, keys: change(ak, ek) };
    },
  };
}

function hex(text: string): Buffer {
  return Buffer.from(text, "hex");
}

test("runtime data without what is needed are refused", () => {
  const samples: readonly (readonly [AzureSample, string])[] = [
    [without("vm-configuration"), ".vm-configuration"],
    [without("vm-configuration", "secure-boot"), ".secure-boot"],
    [without("vm-configuration", "tpm-enabled"), ".tpm-enabled"],
    [without("vm-configuration", "console-enabled"), ".console-enabled"],
    [without("vm-configuration", "vmUniqueId"), ".vmUniqueId"],
    [configuration({ vmUniqueId: "26F8BC30" }), ".vmUniqueId"],
    [configuration({ vmUniqueId: ["26F8BC30-774E-4290-8E7A-535F3B672AEE"] }), ".vmUniqueId"],
    [{ runtime: (runtime) => ({ ...runtime, "user-data": ["AB".repeat(64)] }) }, ".user-data"],
    [configuration({ "secure-boot": "true" }), ".secure-boot"],
    [without("keys"), ".keys"],
    [keys((_, ek) => [ek]), ".keys"],
    [keys((ak) => [ak, ak]), ".keys"],
    [keys((ak) => ({ ak })), ".keys"],
    [keys(() => ["HCLAkPub"]), ".keys"],
    [keys((ak) => [{ ...ak, kty: "EC" }]), ".HCLAkPub"],
    [keys((ak) => [{ ...ak, n: 5 }]), ".HCLAkPub"],
    [keys((ak) => [{ ...ak, n: "*" }]), ".HCLAkPub"],
    [keys((ak) => [{ ...ak, e: "Aw" }]), ".HCLAkPub"],
    [{ runtime: (runtime) => ({ ...runtime, "user-data": "AB" }) }, ".user-data"],
    [{ runtime: (runtime) => ({ ...runtime, "user-data": 5 }) }, ".user-data"],
    [{ runtime: () => "{" }, ""],
    [{ runtime: () => '{"keys":[],"keys":[]}' }, ""],
  ];
  for (const [sample, part] of samples) {
    assert.throws(() => verified(sample), {
      code: "ERR_EVIDENCE_FORMAT",
      part: `hclReport.runtimeData${part}`,
    });
  }
});

test("THREAT-13: no changed byte of the report that is signed is accepted", () => {
  const { evidence, roots } = makeAzureSnp();
  const end = evidence.hclReport.length - 50;
  fc.assert(
    fc.property(fc.nat(end - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const hclReport = Buffer.from(evidence.hclReport);
      hclReport[at] = (hclReport[at] ?? 0) ^ flip;
      // The header's version says only which host made it: 1 and 2 are read alike.
      if (at === 4 && hclReport[at] === 1) return;
      assert.throws(
        () => verifyAzureSnp({ ...evidence, hclReport }, { ...demand, roots }),
        EvidenceError,
      );
    }),
    { numRuns: 300 },
  );
});

test("any bytes give a report or a coded error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), (bytes) => {
      assert.throws(() => parseHclReport(bytes), EvidenceError);
    }),
  );
});

test("evidence of a real Azure confidential VM", { skip: WITHOUT_VECTORS }, () => {
  const evidence = JSON.parse(attestationVector("azure/snp-evidence-v1.json").toString());
  const all: readonly string[] = evidence.tpm_quote.pcrs;
  const pcrs = new Map(all.map((value, index) => [index, hex(value)]));
  const issuers = decodePemChain(attestationVector("snp/milan-ask-ark.pem").toString(), {
    maxCertificates: 2,
    what: "chain",
  });
  const real = {
    hclReport: Buffer.from(evidence.hcl_report, "base64url"),
    chain: [Buffer.from(evidence.vcek, "base64url"), ...issuers],
    vtpm: {
      quote: hex(evidence.tpm_quote.message),
      signature: {
        scheme: "rsassa",
        hash: "sha256",
        value: hex(evidence.tpm_quote.signature),
      } as const,
      pcrs,
    },
  };
  const quote = {
    selection: { bank: "sha256", indices: [...pcrs.keys()] } as const,
    qualifyingData: Buffer.from("challenge"),
  };
  const options = { now: Date.UTC(2026, 0, 1), quote, userData: Buffer.alloc(64) };
  const { runtime, snp } = verifyAzureSnp(real, options);
  assert.equal(runtime.hasSecureBoot, true);
  assert.equal(snp.product, "Milan");
  const other = { ...options, quote: { ...quote, qualifyingData: Buffer.from("Challenge") } };
  assert.throws(() => verifyAzureSnp(real, other), { code: "ERR_EVIDENCE_BINDING" });
});

test("the key that an older host published", { skip: WITHOUT_VECTORS }, () => {
  const { runtimeData, type } = parseHclReport(attestationVector("azure/hcl-report-tdx.bin"));
  assert.equal(type, "tdx");
  assert.match(runtimeData.toString(), /HCLAkPub/);
  const pem = createPublicKey(attestationVector("azure/akpub.pem").toString());
  assert.equal(pem.asymmetricKeyType, "rsa");
});
