import assert from "node:assert/strict";
import { test } from "node:test";
import type { Claims } from "../claims.ts";
import { makeAzureSnp, makeAzureTdx } from "../testing/azure-evidence.ts";
import { envelopeText, sampleEnvelopes } from "../testing/envelopes.ts";
import { bootEvents, encodeLog } from "../testing/event-logs.ts";
import { makeNitroDocument } from "../testing/nitro.ts";
import { makeSnp } from "../testing/snp-evidence.ts";
import { makeTdx } from "../testing/tdx-evidence.ts";
import { recogniseEvidence } from "./recognise-evidence.ts";
import { unverifiedClaims } from "./unverified-claims.ts";

function shown(bytes: Uint8Array | string): Claims {
  return unverifiedClaims(recogniseEvidence(Buffer.from(bytes)));
}

function groups(claims: Claims): readonly string[] {
  return Object.keys(claims);
}

test("each platform's own bytes are told by their form", () => {
  const kinds = [
    [makeSnp().evidence.report, "snp-report"],
    [makeTdx().quote, "tdx-quote"],
    [makeTdx({ version: 5 }).quote, "tdx-quote"],
    [makeAzureSnp().evidence.hclReport, "hcl-report"],
    [encodeLog([]), "event-log"],
    [encodeLog([], "ccel", ["sha384"]), "event-log"],
    [makeNitroDocument(), "evidence"],
    [Buffer.concat([Buffer.of(0xd2), makeNitroDocument()]), "evidence"],
    [Buffer.from(envelopeText(sampleEnvelopes().snp)), "evidence"],
  ] as const;
  for (const [bytes, kind] of kinds) assert.equal(recogniseEvidence(Buffer.from(bytes)).kind, kind);
});

test("what is of no kind is refused", () => {
  const almost = Buffer.from(makeTdx().quote);
  almost.writeUInt32LE(0, 4);
  const older = Buffer.from(makeTdx().quote);
  older.writeUInt16LE(3, 0);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from("hello"),
    Buffer.from([4, 0, 2, 0, 0x81, 0, 0]),
    almost,
    older,
  ])
    assert.throws(() => recogniseEvidence(bytes), {
      name: "EvidenceError",
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: "evidence",
    });
});

test("what evidence says is shown as plain values", () => {
  const snp = Object(shown(makeSnp().evidence.report).report);
  assert.equal(snp.measurement, "bb".repeat(48));
  assert.deepEqual(snp.cpu, { family: 25, model: 17, step: 1 });
  assert.equal(snp.policy.isDebuggable, false);
  assert.equal("cpu" in Object(shown(makeSnp({ version: 2 }).evidence.report).report), false);
  const tdx = shown(makeTdx().quote);
  assert.equal(tdx["quote-version"], 4);
  assert.deepEqual(Object(tdx.quote).rtmrs.length, 4);
  assert.equal(Object(tdx.quote).rtmrs[0], "70".repeat(48));
  const nitro = shown(makeNitroDocument());
  assert.equal(Object(nitro.document).pcrs["0"], "01".repeat(48));
  assert.equal(nitro.certificates, 3);
  const log = Object(
    shown(encodeLog([...bootEvents(), { register: 0, type: 3, data: Buffer.alloc(1) }])).events,
  );
  assert.deepEqual(
    [log["0"], log["2"], log["14"]],
    ["0 firmware version: Firmware 1.0", "7 variable SecureBoot: on", "0 not measured"],
  );
  const old = { register: 1, type: 1, data: Buffer.from("x") };
  assert.match(
    Object(shown(encodeLog([old], "tcg2", ["sha1"])).events)["0"],
    /^1 firmware code: digest $/,
  );
});

test("an envelope is shown with all its parts, on every platform", () => {
  const expected: Readonly<Record<string, readonly string[]>> = {
    snp: ["platform", "report"],
    nitro: ["platform", "document", "certificates"],
    "az-snp": ["platform", "report", "azure", "quote", "pcrs"],
    tdx: ["platform", "quote-version", "quote"],
    "az-tdx": ["platform", "azure", "quote-version", "quote", "tpm-quote", "pcrs"],
    tpm2: ["platform", "quote", "pcrs", "ak-name"],
    swtpm: ["platform", "quote", "pcrs", "ak-name"],
    soft: ["platform", "quote", "pcrs", "ak-name"],
  };
  for (const [platform, members] of Object.entries(sampleEnvelopes())) {
    const claims = shown(envelopeText(members));
    assert.equal(claims.platform, platform);
    assert.deepEqual(groups(claims), expected[platform]);
  }
  assert.equal(
    Object(shown(envelopeText(sampleEnvelopes().tpm2)).quote).extraData,
    "42".repeat(32),
  );
  assert.equal(shown(makeAzureTdx().hclReport).platform, "az-tdx");
});
