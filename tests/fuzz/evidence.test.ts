import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { appraise, type AppraisalOptions, EvidenceError, parseEvidence } from "@redoubt/evidence";
import {
  AZURE_SELECTION,
  makeAzureSnp,
} from "../../packages/evidence/src/testing/azure-evidence.ts";
import { TEST_NOW } from "../../packages/evidence/src/testing/certificates.ts";
import { envelopeText, sampleEnvelopes } from "../../packages/evidence/src/testing/envelopes.ts";
import { NITRO_TEST_ROOTS } from "../../packages/evidence/src/testing/nitro.ts";
import { TDX_ROOTS } from "../../packages/evidence/src/testing/tdx-evidence.ts";
import { makeSnp } from "../../packages/evidence/src/testing/snp-evidence.ts";

const SAMPLES = 10_000;

/** Bytes of which each is signed, or held to what is signed. */
interface Target {
  readonly name: string;
  readonly bytes: Buffer;
  readonly accept: () => unknown;
  /** Where the bytes begin and end that may be changed, but neither cut nor longer. */
  readonly fixed?: readonly [number, number];
}

function targets(): readonly Target[] {
  const envelopes = sampleEnvelopes();
  const options: AppraisalOptions = { now: TEST_NOW, expected: null };
  const snp = parseEvidence(envelopeText(envelopes.snp));
  const nitro = parseEvidence(envelopeText(envelopes.nitro));
  const azure = parseEvidence(envelopeText(envelopes["az-snp"]));
  assert.ok(snp.platform === "snp" && nitro.platform === "nitro" && azure.platform === "az-snp");
  const ofSnp = () => appraise(snp, { ...options, roots: { snp: makeSnp().roots } });
  const ofNitro = () => appraise(nitro, { ...options, roots: { nitro: NITRO_TEST_ROOTS } });
  const roots = makeAzureSnp().roots;
  const ofAzure = () =>
    appraise(azure, { ...options, roots: { snp: roots }, pcrs: AZURE_SELECTION });
  const { hclReport, vtpm } = azure;
  const tdx = parseEvidence(envelopeText(envelopes.tdx));
  assert.ok(tdx.platform === "tdx");
  const ofTdx = () => appraise(tdx, { ...options, roots: { tdx: TDX_ROOTS } });
  const { collateral } = tdx;
  // Up to the certificates: PEM text has bytes that say nothing.
  const pemBegins = tdx.quote.indexOf("-----BEGIN");
  assert.ok(Buffer.isBuffer(vtpm.quote) && Buffer.isBuffer(vtpm.signature));
  return [
    { name: "SNP report", bytes: snp.report, accept: ofSnp },
    ...snp.chain.map((bytes, i) => ({ name: `SNP certificate ${i}`, bytes, accept: ofSnp })),
    { name: "Nitro document", bytes: nitro.document, accept: ofNitro },
    // The header before them says which host made the report, the zeros after them fill the index up.
    { name: "HCL report", bytes: hclReport, accept: ofAzure, fixed: [32, hclReport.length - 50] },
    { name: "TDX quote", bytes: tdx.quote, accept: ofTdx, fixed: [0, pemBegins - 6] },
    { name: "PCK CRL", bytes: collateral.pckCrl, accept: ofTdx },
    { name: "root CRL", bytes: collateral.rootCaCrl, accept: ofTdx },
    { name: "signature of TCB info", bytes: collateral.tcbInfoSignature, accept: ofTdx },
    { name: "TPM quote", bytes: vtpm.quote, accept: ofAzure },
    { name: "TPM signature", bytes: vtpm.signature, accept: ofAzure },
    ...[...vtpm.pcrs].flatMap(([index, bytes]) =>
      Buffer.isBuffer(bytes) ? [{ name: `PCR ${index}`, bytes, accept: ofAzure }] : [],
    ),
  ];
}

/** A small generator whose seed a failure names. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Changes 1 to 4 places in a copy: other bytes, other bits, or a run of zeros. */
function mutated(
  bytes: Buffer,
  [from, to]: readonly [number, number],
  next: (below: number) => number,
): Buffer {
  const copy = Buffer.from(bytes);
  for (let left = 1 + next(4); left > 0; left -= 1) {
    const at = from + next(to - from);
    const kind = next(3);
    if (kind === 0) copy[at] = next(256);
    else if (kind === 1) copy[at] = (copy[at] ?? 0) ^ (1 << next(8));
    else copy.fill(0, at, Math.min(to, at + 1 + next(16)));
  }
  return copy;
}

describe("changed evidence", () => {
  it(`THREAT-13: none of ${SAMPLES} changed samples is accepted, and each gives a coded error`, () => {
    // Another seed for each hour, so that every run looks at other samples.
    const seed = Math.floor(Date.now() / 3_600_000);
    const next = generator(seed);
    const all = targets();
    const found = new Map<string, number>();
    for (const { accept } of all) accept();
    for (let i = 0; i < SAMPLES;) {
      const target = all[i % all.length];
      assert.ok(target !== undefined);
      const { bytes, accept, fixed = [0, bytes.length] } = target;
      const before = Buffer.from(bytes);
      const changed = mutated(bytes, fixed, next);
      if (changed.equals(before)) continue;
      i += 1;
      bytes.set(changed);
      try {
        assert.throws(
          accept,
          (error) => {
            assert.ok(error instanceof EvidenceError, `${target.name}: ${String(error)}`);
            found.set(error.code, (found.get(error.code) ?? 0) + 1);
            return true;
          },
          `${target.name}, seed ${seed}, sample ${i}`,
        );
      } finally {
        bytes.set(before);
      }
    }
    // It reached the signatures, and not only the first check of each structure.
    assert.ok(
      (found.get("ERR_EVIDENCE_SIGNATURE") ?? 0) > SAMPLES / 10,
      JSON.stringify([...found]),
    );
  });
});
