import assert from "node:assert/strict";
import { createHash, verify } from "node:crypto";
import { test } from "node:test";
import { decodePemChain } from "../pem.ts";
import { attestationVector, WITHOUT_VECTORS } from "../testing/tpm-vectors.ts";
import { parseCertificate } from "../x509.ts";
import { appraiseTdxTcb } from "./appraise-tcb.ts";
import { parseTdxCollateral } from "./collateral.ts";
import { parseCollateralJson } from "./collateral-reader.ts";
import { parsePckPlatform } from "./pck-certificate.ts";
import { parseTdxQuote } from "./quote.ts";
import { INTEL_ROOTS, verifyTdx } from "./verify-tdx.ts";

const skip = WITHOUT_VECTORS;

function certificates(pem: string) {
  return decodePemChain(pem, { maxCertificates: 3, what: "vector" }).map((der) =>
    parseCertificate(der, "vector"),
  );
}

function ofPhala() {
  return parseTdxCollateral(attestationVector("tdx/phala-quote-v4-collateral.json"));
}

/** Text that is appended to a sample of go-tdx-guest. */
const EXTRA_BYTES = 39;

function realQuote(name: string): Buffer {
  const bytes = attestationVector(name);
  return name === "tdx/quote-v4-spr-e4.dat" ? bytes.subarray(0, bytes.length - EXTRA_BYTES) : bytes;
}

/** A response of Intel's service: the signed text, byte for byte, and its signature. */
function response(name: string, member: string): { text: string; signature: Buffer } {
  const whole = attestationVector(name).toString().trim();
  const end = whole.lastIndexOf(',"signature":"');
  assert.ok(whole.startsWith(`{"${member}":`));
  const text = whole.slice(member.length + 4, end);
  return { text, signature: Buffer.from(whole.slice(end + 14, -2), "hex") };
}

test("Intel's root is the one that is pinned", { skip }, () => {
  const [root] = certificates(attestationVector("tdx/intel-sgx-root-ca.pem").toString());
  assert.ok(root !== undefined);
  assert.equal(root.fingerprint, createHash("sha256").update(root.encoded).digest("hex"));
  assert.deepEqual([...INTEL_ROOTS], [root.fingerprint]);
});

// What stands here is checked after all signatures of a quote, at a time when its PCK certificate is valid: the
// collateral is stale, or of another platform.
const QUOTES = [
  ["tdx/cos-113-quote.dat", "2025-06-25", "tcbInfo.fmspc"],
  ["tdx/quote-v5.dat", "2026-02-15", "PCK CRL"],
  ["tdx/quote-v4-spr-e4.dat", "2023-06-20", "root CRL"],
] as const;

for (const [name, day, part] of QUOTES) {
  test(`${name}: signatures verify, up to Intel's root`, { skip }, () => {
    const quote = realQuote(name);
    const options = { now: Date.parse(day), reportData: null };
    const refused = { code: "ERR_EVIDENCE_COLLATERAL", part };
    assert.throws(() => verifyTdx({ quote, collateral: ofPhala() }, options), refused);
    const changed = Buffer.from(quote);
    changed.writeUInt8(changed.readUInt8(400) ^ 1, 400);
    assert.throws(() => verifyTdx({ quote: changed, collateral: ofPhala() }, options), {
      code: "ERR_EVIDENCE_SIGNATURE",
      part: "quote",
    });
  });
}

test("text after a quote is refused", { skip }, () => {
  assert.throws(() => parseTdxQuote(attestationVector("tdx/quote-v4-spr-e4.dat")), {
    code: "ERR_EVIDENCE_FORMAT",
  });
});

test("documents of three years are signed over the very text", { skip }, () => {
  const [signer] = certificates(ofPhala().tcbInfoIssuerChain);
  assert.ok(signer !== undefined);
  const key = { key: signer.publicKey, dsaEncoding: "ieee-p1363" } as const;
  for (const [name, member] of [
    ["tdx/tcb-info.json", "tcbInfo"],
    ["tdx/tcb-info-v5.json", "tcbInfo"],
    ["tdx/qe-identity.json", "enclaveIdentity"],
  ] as const) {
    const { text, signature } = response(name, member);
    assert.equal(verify("sha256", Buffer.from(text), key, signature), true, name);
    assert.equal(verify("sha256", Buffer.from(`${text} `), key, signature), false, name);
  }
});

/** Verdicts on a real quote by real documents, whose times do not meet. */
function appraise(quoteName: string, tcbInfoName: string, qeIdentity: string) {
  const { body, qeReport, certificates: chain } = parseTdxQuote(realQuote(quoteName));
  const [leaf] = certificates(chain.toString("latin1"));
  assert.ok(leaf !== undefined);
  const tcbInfo = response(tcbInfoName, "tcbInfo").text;
  return appraiseTdxTcb(
    { body, qeReport, pck: parsePckPlatform(leaf) },
    {
      tcbInfo: parseCollateralJson(tcbInfo, "tcbInfo"),
      qeIdentity: parseCollateralJson(qeIdentity, "qeIdentity"),
      expires: 0,
    },
  );
}

test("levels: a module of version 1 under TDX 1.5, and one from before", { skip }, () => {
  const newer = appraise("tdx/quote-v5.dat", "tdx/tcb-info-v5.json", ofPhala().qeIdentity);
  assert.deepEqual(
    [newer.status, newer.platform.status, newer.module?.status],
    ["UpToDate", "UpToDate", "UpToDate"],
  );
  assert.deepEqual(newer.advisoryIds, []);
  const identity = response("tdx/qe-identity.json", "enclaveIdentity").text;
  // This platform runs below every level of its document, which another verifier says, too.
  assert.throws(() => appraise("tdx/quote-v4-spr-e4.dat", "tdx/tcb-info.json", identity), {
    code: "ERR_EVIDENCE_COLLATERAL",
    part: "tcbInfo.tcbLevels",
  });
});
