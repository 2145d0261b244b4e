import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  AK_P256,
  createSoftTpm,
  encodeReferenceValues,
  extendPcr,
  parsePublicArea,
  quote,
  signReferenceValues,
} from "@redoubt/evidence";
import { EXIT } from "../command.ts";
import { openTerminal } from "../terminal.ts";
import { rimExplain } from "./explain.ts";
import { attestLint } from "./lint.ts";
import { rimBuild, rimCapture, rimSign } from "./rim.ts";
import { attestShow } from "./show-evidence.ts";
import { attestVerify, type AttestVerifyOptions } from "./verify-evidence.ts";

const vectors = fileURLToPath(
  new URL("../../../../../shared/vectors/attestation/", import.meta.url),
);
const NO_VECTORS = existsSync(vectors) ? false : "the vectors of third parties are not here";
const folder = mkdtempSync(join(tmpdir(), "redoubt-attest-"));
after(() => rmSync(folder, { recursive: true }));

/** What one command printed, and its exit code. */
async function command(
  json: boolean,
  work: (context: Parameters<typeof attestShow>[0]) => Promise<number>,
) {
  let out = "";
  let err = "";
  const terminal = openTerminal(json, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
  });
  const questions = { input: process.stdin, output: process.stderr };
  const code = await work({ folder, typedIn: folder, json, terminal, questions });
  return { code, out, err };
}

function file(name: string, content: string | object): string {
  writeFileSync(
    join(folder, name),
    typeof content === "string" ? content : JSON.stringify(content),
  );
  return name;
}

function policy(name: string, ...allOf: readonly object[]): string {
  return file(name, { version: "1.1.0", anyOf: [{ authority: "urn:redoubt:evidence", allOf }] });
}

const chain = [`${vectors}snp/ms-milan-vcek.pem`, `${vectors}snp/milan-ask-ark.pem`];
const milan = policy(
  "milan.json",
  { claim: "platform", equals: "snp" },
  { claim: "snp.product", equals: "Milan" },
);
const genoa = policy(
  "genoa.json",
  { claim: "snp.product", equals: "Genoa" },
  { claim: "snp.alias-check-complete", equals: false },
);

function verify(name: string, options: Partial<AttestVerifyOptions>, json = false) {
  return command(json, (context) =>
    attestVerify(context, name, {
      policy: milan,
      anyData: true,
      at: "2026-06-01T00:00:00Z",
      ...options,
    }),
  );
}

test(
  "a real report is accepted, refused by its policy, or refused as not genuine",
  { skip: NO_VECTORS },
  async () => {
    const report = `${vectors}snp/ms-milan-report.bin`;
    const good = await verify(report, { chain });
    assert.equal(good.code, EXIT.ok);
    assert.match(good.out, /^accepted: .*\n\nplatform .*snp\n/);
    const refused = await verify(report, { chain, policy: genoa });
    assert.equal(refused.code, EXIT.refused);
    assert.match(refused.out, /snp\.product +"Milan" +equals "Genoa"/);
    assert.match(refused.out, /\nsnp\.product: Milan's endorsement key/);
    const answer = JSON.parse((await verify(report, { chain, policy: genoa }, true)).out);
    assert.deepEqual(
      [answer.valid, answer.code, answer.refusals.length],
      [false, "ERR_EVIDENCE_REFUSED", 2],
    );
    assert.equal(answer.claims.snp.product, "Milan");
    const foreign = [`${vectors}snp/coco-vcek.der`, `${vectors}snp/milan-ask-ark.pem`];
    const forged = await verify(report, { chain: foreign });
    assert.equal(forged.code, EXIT.refused);
    assert.match(
      forged.out,
      /^refused: SNP report: signature does not verify \(ERR_EVIDENCE_SIGNATURE\)\n$/,
    );
    const early = await verify(report, { chain, at: "2020-01-01T00:00:00Z" });
    assert.match(early.out, /ERR_EVIDENCE_TIME/);
    const other = await verify(report, { chain, anyData: false, expect: "01".repeat(32) });
    assert.match(other.out, /ERR_EVIDENCE_BINDING/);
  },
);

test("an enclave's document is recognised by its form", { skip: NO_VECTORS }, async () => {
  const nitro = policy("nitro.json", { claim: "nitro.is-debuggable", equals: false });
  const name = `${vectors}nitro/prod-doc.cose`;
  const { code, out } = await verify(name, { policy: nitro, at: "2021-03-17T22:30:00Z" });
  assert.equal(code, EXIT.ok, out);
  const { err, out: shown } = await command(true, (context) => attestShow(context, name));
  assert.match(err, /^Nothing of this is verified/);
  assert.equal(JSON.parse(shown).unverified.document.debug, false);
});

test("a quote of a TD is verified with its collateral", { skip: NO_VECTORS }, async () => {
  const tdx = policy("tdx.json", { claim: "tdx.tcb-status", equals: "UpToDate" });
  const name = `${vectors}tdx/phala-quote-v4.dat`;
  const options = { policy: tdx, at: "2025-06-25T00:00:00Z" };
  await assert.rejects(verify(name, options), /Name --collateral/);
  const collateral = `${vectors}tdx/phala-quote-v4-collateral.json`;
  assert.equal((await verify(name, { ...options, collateral })).code, EXIT.ok);
  const later = await verify(name, { ...options, collateral, minEvaluation: 18 });
  assert.match(later.out, /ERR_EVIDENCE_COLLATERAL/);
  await assert.rejects(
    verify(`${vectors}nitro/prod-doc.cose`, { collateral }),
    /--collateral is for/,
  );
  const log = `${vectors}eventlog/cos-101-amd-sev.bin`;
  await assert.rejects(verify(log, {}), /An event log proves nothing by itself/);
  const { out } = await command(false, (context) => attestShow(context, log));
  assert.match(out, /7 variable SecureBoot: on\n/);
});

test(
  "what is no evidence, or cannot be verified alone, is said",
  { skip: NO_VECTORS },
  async () => {
    const text = file("text", "hello");
    const shown = await command(false, (context) => attestShow(context, text));
    assert.deepEqual(
      [shown.code, shown.out],
      [EXIT.refused, "no evidence: Evidence: no kind that is known (ERR_EVIDENCE_UNSUPPORTED)\n"],
    );
    await assert.rejects(verify(`${vectors}azure/hcl-report-snp.bin`, {}), /An HCL report alone/);
    await assert.rejects(verify(`${vectors}snp/ms-milan-report.bin`, {}), /Name --chain/);
    await assert.rejects(
      verify(`${vectors}nitro/prod-doc.cose`, { chain }),
      /--chain is for a bare SNP report/,
    );
    await assert.rejects(
      verify(`${vectors}snp/ms-milan-report.bin`, { chain: [text] }),
      /neither PEM nor DER/,
    );
  },
);

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

test("THREAT-13: a TPM's quote is accepted as what enrolment found, and for the bytes that were asked for", async () => {
  const tpm = createSoftTpm();
  const selection = { bank: "sha256", indices: [0, 4, 11] } as const;
  for (const index of selection.indices)
    await extendPcr(tpm, index, "sha256", Buffer.alloc(32, index + 1));
  const {
    akPublicArea,
    pcrs,
    quote: message,
    signature,
  } = await quote(tpm, AK_P256, selection, Buffer.from("nonce"));
  const values = Object.fromEntries(
    [...pcrs].map(([index, value]) => [String(index), encode(value)]),
  );
  const members = {
    quote: encode(message),
    signature: encode(signature),
    pcrs: values,
    akPublic: encode(akPublicArea),
  };
  const envelope = file("soft.json", { v: 1, platform: "soft", tpm: members });
  const name = parsePublicArea(akPublicArea).name.toString("hex");
  const soft = policy("soft-policy.json", { claim: "hardware", equals: false });
  const options = {
    policy: soft,
    anyData: false,
    expect: Buffer.from("nonce").toString("hex"),
    pcrs: "0,4,11",
    enrolled: [`soft:${name}`],
  };
  const good = await verify(envelope, options);
  assert.equal(good.code, EXIT.ok, good.out);
  for (const [changes, code] of [
    [{ expect: "00" }, /ERR_EVIDENCE_BINDING/],
    [{ pcrs: "0,4" }, /ERR_EVIDENCE_PCR_SELECTION/],
    [{ enrolled: [`tpm2:${name}`] }, /ERR_EVIDENCE_KEY/],
    [{ enrolled: [] }, /ERR_EVIDENCE_KEY/],
    [
      { policy: policy("hard.json", { claim: "hardware", equals: true }) },
      /hardware +false +equals true/,
    ],
  ] as const) {
    // One after the other: each reads the file anew.
    const { code: exit, out } = await verify(envelope, { ...options, ...changes });
    assert.equal(exit, EXIT.refused);
    assert.match(out, code);
  }
  const { out } = await command(true, (context) => attestShow(context, envelope));
  assert.equal(JSON.parse(out).unverified["ak-name"], name);
});

test("options that say too little, too much, or nothing that is known", async () => {
  const wrong: readonly (readonly [Partial<AttestVerifyOptions>, RegExp])[] = [
    [{ anyData: false }, /Name --expect/],
    [{ expect: "00" }, /Name --expect/],
    [{ anyData: false, expect: "0g" }, /--expect is/],
    [{ anyData: false, expect: "00".repeat(65) }, /--expect is/],
    [{ at: "yesterday" }, /--at is/],
    [{ pcrs: "4,0" }, /--pcrs is/],
    [{ pcrs: "4,24" }, /--pcrs is/],
    [{ pcrs: "" }, /--pcrs is/],
    [{ enrolled: ["tpm3:0011223344"] }, /--enrolled is/],
    [{ enrolled: ["tpm2:xx"] }, /--enrolled is/],
    [{ enrolled: ["tpm2"] }, /--enrolled is/],
    [{ enrolled: ["tpm2:0011223344:0"] }, /--enrolled is/],
    [{ floor: ["signer"] }, /--floor is/],
    [{ references: ["a"] }, /Name --release-key/],
    [{ releaseKey: [milan] }, /not a public key/],
  ];
  for (const [options, message] of wrong) await assert.rejects(verify("text", options), message);
  const enrolled = [`tpm2:000b${"ab".repeat(32)}`];
  assert.equal(
    (await verify(file("empty.json", "{}"), { enrolled, pcrs: "0,4,11" })).code,
    EXIT.refused,
  );
});

function releaseKey(name: string) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return {
    privateKey,
    pem: file(name, publicKey.export({ format: "pem", type: "spki" }).toString()),
  };
}

test("a policy is fit for production, or it is said what it lacks", async () => {
  const loose = await command(false, (context) => attestLint(context, milan, {}));
  assert.equal(loose.code, EXIT.refused);
  assert.match(loose.out, /^anyOf\[0\]: no measurement: any image passes; compare/);
  const [anna, ben] = [releaseKey("anna.pem"), releaseKey("ben.pem")];
  const sets = new Map([["signer/launch", ["ab".repeat(48)]]]);
  const draft = encodeReferenceValues({
    name: "signer",
    version: 3,
    notAfter: Date.UTC(2099, 0, 1),
    sets,
  });
  const references = [
    file(
      "refs.json",
      signReferenceValues(signReferenceValues(draft, anna.privateKey), ben.privateKey),
    ),
  ];
  const strict = policy(
    "strict.json",
    { claim: "platform", equals: "snp" },
    { claim: "snp.product", in: ["Genoa", "Turin"] },
    { claim: "snp.is-debuggable", equals: false },
    { claim: "snp.measurement", reference: "signer/launch" },
  );
  const options = { references, releaseKey: [anna.pem, ben.pem], floor: ["signer=3"] };
  const fit = await command(false, (context) => attestLint(context, strict, options));
  assert.deepEqual([fit.code, fit.out], [EXIT.ok, "fit for production\n"]);
  const unnamed = await command(false, (context) => attestLint(context, strict, {}));
  assert.match(
    unnamed.out,
    /anyOf\[0\]\.allOf\[3\]\.reference: .*; name the file that has the set with --references/,
  );
  const typo = policy("typo.json", { claim: "snp.vmpl", equal: 0 });
  const lint = await command(true, (context) => attestLint(context, typo, {}));
  assert.equal(JSON.parse(lint.out).problems[0].part, "anyOf[0].allOf[0].equal");
  const old = { ...options, floor: ["signer=4"] };
  await assert.rejects(
    command(false, (context) => attestLint(context, strict, old)),
    { code: "ERR_EVIDENCE_REFERENCE" },
  );
});

test(
  "reference values are captured, signed by two, and used by a policy",
  { skip: NO_VECTORS },
  async () => {
    const log = `${vectors}eventlog/cos-101-amd-sev.bin`;
    const draft = { name: "firmware@1-512", version: 2, days: 30, out: "firmware.json" };
    const captured = await command(true, (context) =>
      rimCapture(context, log, { ...draft, pcrs: "0,7" }),
    );
    assert.match(captured.err, /^Captured as it is/);
    assert.deepEqual(Object.keys(JSON.parse(captured.out).values), [
      "firmware@1-512/pcr0",
      "firmware@1-512/pcr7",
    ]);
    await assert.rejects(
      command(false, (context) => rimCapture(context, log, { ...draft, pcrs: "0,23" })),
      /PCR 23 is not in/,
    );
    await assert.rejects(
      command(false, (context) => rimCapture(context, milan, { ...draft, pcrs: "0" })),
      { name: "EvidenceError" },
    );
    const owners = ["carla", "dan"].map((name) => {
      const { publicKey, privateKey } = generateKeyPairSync("ed25519");
      file(`${name}.key`, privateKey.export({ format: "pem", type: "pkcs8" }).toString());
      return file(`${name}.pem`, publicKey.export({ format: "pem", type: "spki" }).toString());
    });
    const options = { references: ["firmware.json"], releaseKey: owners };
    const strict = policy("firmware-policy.json", {
      claim: "pcrs.0",
      reference: "firmware@1-512/pcr0",
    });
    for (const name of ["carla", "dan"]) {
      await assert.rejects(
        command(false, (context) => attestLint(context, strict, options)),
        { code: "ERR_EVIDENCE_REFERENCE" },
      );
      await command(false, (context) => rimSign(context, "firmware.json", { key: `${name}.key` }));
    }
    const lint = await command(true, (context) => attestLint(context, strict, options));
    assert.equal(JSON.parse(lint.out).problems[0].problem, "no measurement: any image passes");
    await assert.rejects(
      command(false, (context) => rimSign(context, "firmware.json", { key: milan })),
      /not a private key/,
    );
  },
);

test("a launch digest is computed from files", { skip: NO_VECTORS }, async () => {
  const options = {
    name: "signer",
    version: 1,
    days: 1,
    out: "launch.json",
    cpu: "EPYC",
    vmm: "qemu",
    features: 1,
  } as const;
  const ovmf = `${vectors}snp-measure/ovmf_AmdSev_suffix.bin`;
  const kernel = file("empty", "");
  const build = (changes: object, image?: string) =>
    command(true, (context) => rimBuild(context, image, { ...options, ...changes }));
  const built = await build({ ovmf, vcpus: "1", kernel });
  assert.deepEqual(JSON.parse(built.out).values, {
    "signer/snp-launch": [
      "ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5",
    ],
  });
  const two = await build({ ovmf, vcpus: "1,4", kernel, initrd: kernel, cmdline: "quiet" });
  assert.equal(JSON.parse(two.out).values["signer/snp-launch"].length, 2);
  await assert.rejects(build({}), /Name an image/);
  await assert.rejects(build({ ovmf, cpu: "Z80" }), /--cpu is one of EPYC/);
  await assert.rejects(build({ ovmf, vcpus: "many" }), /--vcpus is/);
  await assert.rejects(build({ ovmf, initrd: kernel }), /--initrd goes with/);
  await assert.rejects(build({}, kernel), /signer: PE image: cut off/);
});

test("two boots are compared in words", { skip: NO_VECTORS }, async () => {
  const [first, second] = ["cos-101-amd-sev", "with-sp800155"].map(
    (name) => `${vectors}eventlog/${name}.bin`,
  );
  assert.ok(first !== undefined && second !== undefined);
  const same = await command(false, (context) => rimExplain(context, first, first));
  assert.deepEqual([same.code, same.out], [EXIT.ok, "both boots measured the same\n"]);
  const { code, out } = await command(false, (context) => rimExplain(context, first, second));
  assert.equal(code, EXIT.attention);
  assert.match(
    out,
    /^PCR0: firmware version changed: GCE Virtual Firmware v1 -> GCE Virtual Firmware v2\n/,
  );
  await assert.rejects(
    command(false, (context) => rimExplain(context, first, `${vectors}eventlog/ccel-unpadded.bin`)),
    /different kinds/,
  );
  await assert.rejects(
    command(false, (context) => rimExplain(context, first, `${vectors}nitro/prod-doc.cose`)),
    /has no event log/,
  );
});
