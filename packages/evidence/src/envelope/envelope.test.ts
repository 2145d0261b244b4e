import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import { AZURE_NONCE, AZURE_SELECTION, makeAzureSnp } from "../testing/azure-evidence.ts";
import { bootEvents, encodeLog } from "../testing/event-logs.ts";
import { parseEventLog } from "../event-log/parse-event-log.ts";
import { replay } from "../event-log/replay.ts";
import { TEST_NOW } from "../testing/certificates.ts";
import { envelopeText, makeTpmQuote, sampleEnvelopes, TPM_AK } from "../testing/envelopes.ts";
import { makeNitroDocument, NITRO_TEST_ROOTS } from "../testing/nitro.ts";
import { makeSnp } from "../testing/snp-evidence.ts";
import { collateralJson, makeTdx, TDX_OFFSETS, TDX_ROOTS } from "../testing/tdx-evidence.ts";
import { encodeQuote, quoteParts, signAsTpm } from "../testing/tpm-evidence.ts";
import { parsePublicArea } from "../tpm/public-area.ts";
import { appraise, type AppraisalOptions, DEFAULT_PCRS } from "./appraise.ts";
import type { TpmPlatform } from "./evidence.ts";
import { parseEvidence } from "./parse-evidence.ts";

const samples = sampleEnvelopes();
const roots = { snp: makeSnp().roots, nitro: NITRO_TEST_ROOTS, tdx: TDX_ROOTS };
const akName = parsePublicArea(TPM_AK.publicArea).name.toString("hex");
const options: AppraisalOptions = { now: TEST_NOW, expected: null, roots };

function enrolled(platform: TpmPlatform): AppraisalOptions {
  return { ...options, enrolledKeys: new Map([[akName, platform]]) };
}

const azure = {
  ...options,
  roots: { snp: makeAzureSnp().roots, tdx: TDX_ROOTS },
  pcrs: AZURE_SELECTION,
};

const each: Readonly<Record<keyof typeof samples, AppraisalOptions>> = {
  snp: options,
  nitro: options,
  "az-snp": azure,
  tdx: options,
  "az-tdx": azure,
  tpm2: enrolled("tpm2"),
  swtpm: enrolled("swtpm"),
  soft: enrolled("soft"),
};

test("one envelope for every platform, and what each proves", () => {
  const groups: Readonly<Record<string, readonly string[]>> = {
    snp: ["snp"],
    nitro: ["nitro"],
    "az-snp": ["snp", "azure", "tpm", "pcrs"],
    tdx: ["tdx"],
    "az-tdx": ["tdx", "azure", "tpm", "pcrs"],
    tpm2: ["tpm", "pcrs"],
    swtpm: ["tpm", "pcrs"],
    soft: ["tpm", "pcrs"],
  };
  for (const [platform, members] of Object.entries(samples)) {
    const evidence = parseEvidence(envelopeText(members));
    const { claims } = appraise(evidence, each[evidence.platform]);
    assert.deepEqual(Object.keys(claims), ["platform", "hardware", ...(groups[platform] ?? [])]);
    assert.equal(claims.platform, platform);
    assert.equal(claims.hardware, platform !== "soft" && platform !== "swtpm");
  }
});

test("claims of an enclave and of a TPM", () => {
  const document = { nonce: Buffer.of(1), user_data: Buffer.of(2), public_key: Buffer.of(3) };
  const text = envelopeText({ platform: "nitro", document: makeNitroDocument(document) });
  const { claims } = appraise(parseEvidence(text), options);
  assert.deepEqual(claims.nitro, {
    "module-id": "i-0123-enc4567",
    timestamp: TEST_NOW,
    "is-debuggable": false,
    pcrs: Object.fromEntries(
      [0, 1, 2, 3, 4].map((i) => [String(i), Buffer.alloc(48, i + 1).toString("hex")]),
    ),
    nonce: "01",
    "user-data": "02",
    "public-key": "03",
  });
  const tpm = appraise(parseEvidence(envelopeText(samples.tpm2)), enrolled("tpm2")).claims;
  assert.deepEqual(tpm.tpm, {
    bank: "sha256",
    "reset-count": 7,
    "restart-count": 3,
    "clock-safe": true,
    "ak-name": akName,
  });
  const absent = envelopeText({
    platform: "nitro",
    document: makeNitroDocument({ nonce: undefined, user_data: null, public_key: undefined }),
  });
  assert.deepEqual(Object.keys(Object(appraise(parseEvidence(absent), options).claims.nitro)), [
    "module-id",
    "timestamp",
    "is-debuggable",
    "pcrs",
  ]);
});

test("THREAT-14: what was to be bound is compared on every platform", () => {
  const good: Readonly<Record<string, Buffer>> = {
    snp: Buffer.alloc(64, 0xaa),
    "az-snp": AZURE_NONCE,
    "az-tdx": AZURE_NONCE,
    tdx: Buffer.alloc(64, 0xaa),
    tpm2: Buffer.alloc(32, 0x42),
    swtpm: Buffer.alloc(32, 0x42),
    soft: Buffer.alloc(32, 0x42),
    nitro: Buffer.from("nonce"),
  };
  const members = {
    ...samples,
    nitro: { platform: "nitro", document: makeNitroDocument({ nonce: Buffer.from("nonce") }) },
  };
  for (const [platform, sample] of Object.entries(members)) {
    const evidence = parseEvidence(envelopeText(sample));
    const expected = good[platform] ?? Buffer.alloc(0);
    appraise(evidence, { ...each[evidence.platform], expected });
    for (const other of [Buffer.from(expected).fill(1, 0, 1), Buffer.alloc(32, 9)])
      assert.throws(
        () => appraise(evidence, { ...each[evidence.platform], expected: other }),
        { code: "ERR_EVIDENCE_BINDING" },
        platform,
      );
  }
});

test("report data of fewer than 64 bytes are followed by zeros", () => {
  const digest = Buffer.alloc(32, 7);
  const { evidence } = makeSnp({
    change: (report) => void report.fill(0, 0x50, 0x90).fill(7, 0x50, 0x70),
  });
  const parsed = parseEvidence(envelopeText({ platform: "snp", ...evidence }));
  appraise(parsed, { ...options, expected: digest });
  assert.throws(() => appraise(parsed, { ...options, expected: Buffer.alloc(33, 7) }), {
    code: "ERR_EVIDENCE_BINDING",
  });
  assert.throws(() => appraise(parsed, { ...options, expected: Buffer.alloc(65, 7) }), {
    name: "RangeError",
    message: "Expected data: at most 64 bytes",
  });
});

test("THREAT-13: what a TPM's key belongs to is said by enrolment, not by the evidence", () => {
  const evidence = parseEvidence(envelopeText(samples.tpm2));
  for (const one of [
    options,
    enrolled("soft"),
    enrolled("swtpm"),
    { ...options, enrolledKeys: new Map([["00", "tpm2" as const]]) },
  ])
    assert.throws(() => appraise(evidence, one), {
      code: "ERR_EVIDENCE_KEY",
      part: "tpm.akPublic",
      expected: "tpm2",
    });
  const soft = parseEvidence(envelopeText(samples.soft));
  assert.throws(() => appraise(soft, enrolled("tpm2")), {
    code: "ERR_EVIDENCE_KEY",
    found: "tpm2",
    expected: "soft",
  });
});

test("THREAT-14: PCR 16, extended to the value of another one, does not stand for it", () => {
  const evidence = parseEvidence(envelopeText(samples.tpm2));
  const pcrs = { bank: "sha256", indices: [0, 16] } as const;
  assert.throws(() => appraise(evidence, { ...enrolled("tpm2"), pcrs }), {
    code: "ERR_EVIDENCE_PCR_SELECTION",
  });
});

test("a quote over no data is refused, though any data would do", () => {
  const { pcrs } = makeTpmQuote();
  const quote = encodeQuote(quoteParts(pcrs, "sha256", "sha256", Buffer.alloc(0)));
  const tpm = {
    quote,
    signature: signAsTpm(TPM_AK, quote),
    pcrs: Object.fromEntries(pcrs),
    akPublic: TPM_AK.publicArea,
  };
  const evidence = parseEvidence(envelopeText({ platform: "tpm2", tpm }));
  assert.throws(() => appraise(evidence, enrolled("tpm2")), {
    code: "ERR_EVIDENCE_BINDING",
    part: "quote.extraData",
  });
});

test("an event log travels along", () => {
  const eventLog = Buffer.of(1, 2);
  for (const platform of ["az-snp", "az-tdx", "tdx", "tpm2"] as const) {
    const evidence = parseEvidence(envelopeText({ ...samples[platform], eventLog }));
    assert.ok("eventLog" in evidence);
    assert.deepEqual(evidence.eventLog, eventLog);
  }
});

test("a platform that is no text is malformed, not unknown", () => {
  assert.throws(() => parseEvidence(envelopeText({ ...samples.snp, platform: 5 })), {
    code: "ERR_EVIDENCE_FORMAT",
  });
});

test("THREAT-13: a log that comes along must lead to the PCRs, and then says what was booted", () => {
  const log = encodeLog(bootEvents());
  const replayed = replay(parseEventLog(log, "tcg2"), "sha256");
  const pcrs = new Map(
    DEFAULT_PCRS.indices.map((index) => [index, replayed.get(index) ?? Buffer.alloc(32)]),
  );
  const { akPublic, ...quote } = makeTpmQuote(undefined, pcrs);
  const tpm = { ...quote, pcrs: Object.fromEntries(pcrs), akPublic };
  const phase = { pcr: 11, digests: [{ hashAlg: "sha256", digest: "ab".repeat(32) }] };
  const userspaceLog = Buffer.from(`\u001e${JSON.stringify(phase)}\n`);
  const verified = (logs: object) =>
    appraise(parseEvidence(envelopeText({ platform: "tpm2", tpm, ...logs })), enrolled("tpm2"))
      .claims;
  assert.equal(Object(verified({ eventLog: log })["event-log"])["secure-boot"], true);
  assert.equal("event-log" in verified({}), false);
  assert.equal("event-log" in verified({ userspaceLog }), false);
  for (const logs of [{ eventLog: encodeLog([]) }, { eventLog: log, userspaceLog }])
    assert.throws(() => verified(logs), { code: "ERR_EVIDENCE_REPLAY" });
});

test("THREAT-13: the table of a TD must lead to its registers", () => {
  const moved: Readonly<Record<number, number>> = { 0: 1, 7: 1, 4: 2, 5: 2, 8: 3, 11: 3, 12: 3 };
  const events = bootEvents().map((event) => ({ ...event, register: moved[event.register] ?? 1 }));
  const eventLog = encodeLog(events, "ccel", ["sha384"]);
  const values = replay(parseEventLog(eventLog, "ccel"), "sha384");
  const registers = TDX_OFFSETS.body + 328;
  const evidence = makeTdx({
    change: (signed) => {
      for (const i of [0, 1, 2, 3])
        signed.set(values.get(i + 1) ?? Buffer.alloc(48), registers + 48 * i);
    },
  });
  const members = {
    platform: "tdx",
    quote: evidence.quote,
    collateral: collateralJson(evidence.collateral),
  };
  const { claims } = appraise(parseEvidence(envelopeText({ ...members, eventLog })), options);
  assert.deepEqual(claims["event-log"], { "exit-boot-services": true });
  const other = parseEvidence(
    envelopeText({ ...members, eventLog: encodeLog([], "ccel", ["sha384"]) }),
  );
  assert.throws(() => appraise(other, options), { code: "ERR_EVIDENCE_REPLAY" });
});

test("an envelope is held to its members, and names the one that is wrong", () => {
  const { tpm } = samples.tpm2;
  const changed = (changes: object) => ({ ...samples.tpm2, tpm: { ...Object(tpm), ...changes } });
  const cases: readonly (readonly [object, string])[] = [
    [{ ...samples.snp, v: 2 }, "evidence.v"],
    [{ ...samples.snp, v: "1" }, "evidence.v"],
    [{ ...samples.snp, platform: "sgx" }, "evidence.platform"],
    [{ ...samples.snp, platform: 5 }, "evidence.platform"],
    [{ ...samples.snp, skip: true }, "evidence"],
    [{ ...samples.snp, report: undefined }, "evidence.report"],
    [{ ...samples.snp, report: "*" }, "evidence.report"],
    [{ ...samples.snp, report: 5 }, "evidence.report"],
    [{ ...samples.snp, chain: "AA" }, "evidence.chain"],
    [{ ...samples.snp, chain: [5] }, "evidence.chain[0]"],
    [{ ...samples.snp, chain: Array.from({ length: 9 }, () => "AA") }, "evidence.chain"],
    [{ ...samples.tpm2, tpm: undefined }, "evidence.tpm"],
    [{ ...samples.tpm2, tpm: "AA" }, "evidence.tpm"],
    [changed({ extra: 1 }), "evidence.tpm"],
    [changed({ akPublic: undefined }), "evidence.tpm.akPublic"],
    [changed({ pcrs: [] }), "evidence.tpm.pcrs"],
    [changed({ pcrs: { "0": 5 } }), "evidence.tpm.pcrs.0"],
    [changed({ pcrs: { "24": "AA" } }), "evidence.tpm.pcrs"],
    [changed({ pcrs: { "00": "AA" } }), "evidence.tpm.pcrs"],
    [changed({ pcrs: { "123": "AA" } }), "evidence.tpm.pcrs"],
  ];
  for (const [members, part] of cases) {
    assert.throws(
      () => parseEvidence(envelopeText({ ...members })),
      { name: "EvidenceError", part },
      part,
    );
  }
  for (const text of ["", "[]", "{", '{"v":1,"v":1}', `"${"x".repeat(1_048_576)}"`])
    assert.throws(() => parseEvidence(text), { code: "ERR_EVIDENCE_FORMAT", part: "evidence" });
});

test("THREAT-13: no changed byte that is signed is accepted, on any platform", () => {
  const signed: Readonly<Record<string, string>> = {
    snp: "report",
    nitro: "document",
    "az-snp": "hclReport",
  };
  for (const [platform, member] of Object.entries(signed)) {
    const evidence = parseEvidence(
      envelopeText(samples[platform === "snp" ? "snp" : platform === "nitro" ? "nitro" : "az-snp"]),
    );
    const bytes: unknown = Object(evidence)[member];
    assert.ok(Buffer.isBuffer(bytes));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const before = bytes[at] ?? 0;
        bytes[at] = before ^ flip;
        try {
          const { claims } = appraise(evidence, each[evidence.platform]);
          // What is accepted proves the same as before: only bytes that nothing covers may differ.
          bytes[at] = before;
          assert.deepEqual(claims, appraise(evidence, each[evidence.platform]).claims);
        } catch (error) {
          assert.ok(error instanceof EvidenceError, String(error));
        } finally {
          bytes[at] = before;
        }
      }),
      { numRuns: 150 },
    );
  }
});

test("any JSON gives evidence or a coded error", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(samples)),
      fc.dictionary(
        fc.constantFrom("report", "chain", "document", "tpm", "vtpm", "hclReport"),
        fc.jsonValue(),
      ),
      (platform, members) => {
        assert.throws(
          () => appraise(parseEvidence(JSON.stringify({ v: 1, platform, ...members })), options),
          EvidenceError,
        );
      },
    ),
  );
});
